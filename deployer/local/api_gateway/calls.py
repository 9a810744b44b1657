"""Calls of a REST API as on AWS: the function's policy, limits of size and time, errors without internals, a log line,
metrics.

The emulator calls a function whatever its policy, shows its error to the caller, accepts bodies of any size, waits
forever, and logs no calls.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.rights.services import delivery_refusal

Answer = tuple[int, dict[str, Any], bytes]
MOST_BODY_BYTES: Final = 10 * 1024**2
#: Lambda's limit for the event, in which the body is a JSON string.
MOST_EVENT_BYTES: Final = 6 * 1024**2
SERVER_ERROR: Final = "Internal server error"
#: https://repost.aws/knowledge-center/api-gateway-internal-server-error
NO_PERMISSION: Final = "Execution failed due to configuration error: Invalid permissions on Lambda function"
LOG_STREAM: Final = "calls"
_VARIABLE: Final = re.compile(r"\$context\.([A-Za-z]+(?:\.[A-Za-z]+)*)")
_log = logging.getLogger("dataops.api_gateway")

#: What is known of the current call, for its log line.
_call: ContextVar[dict[str, str] | None] = ContextVar("api_call", default=None)


def install(cloud: LocalCloud) -> None:
    """Wrap the data plane."""
    apis = load("services.apigateway_v1")
    require(apis, "_gw_error", ("response_type", "message"))
    for name in ("_rest_apis", "_stages_v1"):
        require(apis, name)
    _find_in_every_account(apis)
    _wrap_errors(apis)
    _wrap_invocation(apis)
    _wrap_proxy_answers(apis)
    execute = require(
        apis, "handle_execute", ("api_id", "stage_name", "method", "path", "headers", "body", "query_params")
    )

    async def handle_execute(
        api_id: str, stage_name: str, method: str, path: str, headers: Any, body: Any, query_params: Any
    ) -> Answer:
        known = {
            "requestId": str(uuid.uuid4()),
            "requestTime": f"{datetime.now(UTC):%d/%b/%Y:%H:%M:%S %z}",
            "httpMethod": method,
            "path": f"/{stage_name}{path}",
            "resourcePath": path,
            "stage": stage_name,
            "apiId": api_id,
            "protocol": "HTTP/1.1",
            "identity.sourceIp": "127.0.0.1",
            "identity.userAgent": str(headers.get("user-agent", "")),
        }
        token, began = _call.set(known), time.monotonic()
        try:
            answer: Answer = _refused_stranger(apis, api_id, stage_name) or await execute(
                api_id, stage_name, method, path, headers, body, query_params
            )
        finally:
            _call.reset(token)
        answer[1]["x-amzn-requestid"] = known["requestId"]
        known |= {
            "status": str(answer[0]),
            "responseLength": str(len(answer[2] or b"")),
            "responseLatency": str(round((time.monotonic() - began) * 1000)),
        }
        _account_for(apis, known, answer[0])
        return answer

    replace(apis, "handle_execute", handle_execute)


def _find_in_every_account(apis: Any) -> None:
    """Find an API by its address, whatever the caller's account; whether the caller may call it is checked later."""
    find = require(apis, "find_api_scope", ("api_id",))

    def find_api_scope(api_id: str) -> tuple[str, str] | None:
        elsewhere = ((account, region) for (account, region, each), _ in apis._rest_apis.all_items() if each == api_id)
        return find(api_id) or next(elsewhere, None)

    replace(apis, "find_api_scope", find_api_scope)


def _refused_stranger(apis: Any, api_id: str, stage_name: str) -> Answer | None:
    """Refuse a caller from another account: only a resource policy could admit one, and our APIs have none."""
    responses = load("core.responses")
    scope = apis.find_api_scope(api_id)
    if scope is None or scope[0] == responses.get_account_id():
        return None
    with responses.request_scope(*scope):
        stage = (apis._stages_v1.get(api_id) or {}).get(stage_name)
        if stage is None:
            return None
        request = {"api_id": api_id, "stage_name": stage_name, "stage": stage, "headers": {}, "query_params": {}}
        request |= {"path_params": {}, "resource_path": "", "request_id": ""}
        error = apis._gw_error("ACCESS_DENIED", "User is not authorized to access this resource")
        answer: Answer = apis._gateway_error_response(error, request)
        return answer


def _wrap_errors(apis: Any) -> None:
    """Record the type of an error that the gateway itself returns, and give the error the request id of the call."""
    original = require(apis, "_gateway_error_response", ("error", "request"))

    def gateway_error_response(error: Any, request: Any) -> Any:
        if (known := _call.get()) is not None:
            request["request_id"] = known["requestId"]
            known["error.responseType"] = error.response_type
            known["resourcePath"] = request["resource_path"] or known["resourcePath"]
        return original(error, request)

    replace(apis, "_gateway_error_response", gateway_error_response)


def _wrap_invocation(apis: Any) -> None:
    build = apis._build_lambda_event_v1
    invoke = apis._invoke_lambda_proxy_v1

    def build_event(*given: Any, **named: Any) -> Any:
        event = build(*given, **named)
        if (known := _call.get()) is not None:
            context = event["requestContext"]
            context["requestId"] = context["extendedRequestId"] = known["requestId"]
            known |= {f"identity.{name}": str(value) for name, value in context["identity"].items() if value}
            known["resourcePath"] = context["resourcePath"]
            known["accountId"] = context["accountId"]
        return event

    async def invoke_lambda_proxy(integration: Any, *given: Any, **named: Any) -> Any:
        body = given[7]
        if len(body or b"") > MOST_BODY_BYTES or _event_bytes(body) > MOST_EVENT_BYTES:
            return apis._gw_error("REQUEST_TOO_LARGE", "Request Too Long")
        scope = f"{named['owner_region']}:{named['owner_account_id']}"
        called = f"arn:aws:execute-api:{scope}:{given[0]}/{given[1]}/{given[5]}{given[3]['path']}"
        if (refused := _refused_by_function(apis, integration, called)) is not None:
            return refused
        try:
            seconds = float(integration.get("timeoutInMillis") or 29_000) / 1000
            return await asyncio.wait_for(invoke(integration, *given, **named), seconds)
        except TimeoutError:
            return apis._gw_error("INTEGRATION_TIMEOUT", "Endpoint request timed out")

    require(apis, "_build_lambda_event_v1")
    require(apis, "_extract_lambda_ref_from_integration_uri", ("uri",))
    require(
        apis,
        "_invoke_lambda_proxy_v1",
        (
            "integration",
            "api_id",
            "stage_name",
            "stage",
            "resource",
            "request_path",
            "method",
            "headers",
            "body",
            "query_params",
            "path_params",
            "owner_account_id",
            "owner_region",
            "binary_media_types",
            "authorizer_context",
            "caller_identity",
        ),
    )
    apis._build_lambda_event_v1, apis._invoke_lambda_proxy_v1 = build_event, invoke_lambda_proxy


def _refused_by_function(apis: Any, integration: Any, called: str) -> Any:
    """Return the gateway's error when the function's policy does not let this method call it, else None.

    An integration with a role needs no policy; what that role may do is not evaluated.
    """
    function = apis._extract_lambda_ref_from_integration_uri(integration.get("uri", ""))
    refused = delivery_refusal("apigateway.amazonaws.com", called, function)
    if refused is None or integration.get("credentials"):
        return None
    _log.warning("%s, for %s", refused, called)
    if (known := _call.get()) is not None:
        known["integration.error"] = NO_PERMISSION
    return apis._gw_error("API_CONFIGURATION_ERROR", SERVER_ERROR)


def _event_bytes(body: bytes | None) -> int:
    return len(json.dumps((body or b"").decode("utf-8", "replace"), ensure_ascii=False).encode("utf-8", "replace"))


def _wrap_proxy_answers(apis: Any) -> None:
    """Answer 502 if a function fails or returns an invalid proxy answer, without telling the caller why."""
    original = require(apis, "_lambda_proxy_response", ("result",))

    def lambda_proxy_response(result: Any) -> Any:
        answer, error = original(result)
        if error is None and not result.get("throttle") and not is_proxy_answer(result.get("body")):
            error = "the function's answer is not a proxy answer"
        if error is not None:
            _log.warning("a function behind an API failed: %s", error)
            return None, SERVER_ERROR
        return answer, None

    replace(apis, "_lambda_proxy_response", lambda_proxy_response)


def is_proxy_answer(answer: Any) -> bool:
    """Return whether API Gateway can turn what a function returned into a response."""
    if isinstance(answer, (str, bytes)):
        try:
            answer = json.loads(answer)
        except ValueError:
            return False
    if not isinstance(answer, dict):
        return False
    status, body = answer.get("statusCode", 200), answer.get("body", "")
    known = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
    return (
        set(answer) <= known
        and isinstance(status, (int, str))
        and re.fullmatch(r"[1-5][0-9]{2}", str(status)) is not None
        and (body is None or isinstance(body, str))
    )


def _account_for(apis: Any, known: Mapping[str, str], status: int) -> None:
    """Write the stage's log line and the API's metrics, in the account and region of the API."""
    scope = apis.find_api_scope(known["apiId"])
    if scope is None:
        return
    with load("core.responses").request_scope(*scope):
        stage = (apis._stages_v1.get(known["apiId"]) or {}).get(known["stage"])
        if stage is None:
            return
        name = (apis._rest_apis.get(known["apiId"]) or {}).get("name", "")
        setting = stage.get("accessLogSettings") or {}
        if setting.get("destinationArn"):
            write_line(setting["destinationArn"], log_line(setting.get("format", ""), known))
        count = load("services.cloudwatch").record_metric
        values = {
            "Count": 1.0,
            "4XXError": float(400 <= status < 500),
            "5XXError": float(status >= 500),
            "Latency": float(known["responseLatency"]),
        }
        for metric, value in values.items():
            for dimensions in ({"ApiName": name}, {"ApiName": name, "Stage": known["stage"]}):
                count("AWS/ApiGateway", metric, value, dimensions=dimensions)


def log_line(text: str, known: Mapping[str, str]) -> str:
    """Return the log line of a call; a variable without a value becomes a dash."""
    return _VARIABLE.sub(lambda found: known.get(found[1], "-"), text)


def write_line(group_arn: str, line: str) -> None:
    """Write a line to a log group, which must exist."""
    logs = load("services.cloudwatch_logs")
    group = group_arn.split(":log-group:")[-1].removesuffix(":*")
    logs._create_log_stream({"logGroupName": group, "logStreamName": LOG_STREAM})
    event = {"timestamp": int(time.time() * 1000), "message": line}
    logs._put_log_events({"logGroupName": group, "logStreamName": LOG_STREAM, "logEvents": [event]})
