"""Evaluates every API call before it is carried out, and refuses it in the protocol of its service.

The emulator evaluates policies when its option AUTH is on (process/environment.py sets it). This module tells it on
which resources (resources.py) and what else a call needs (entails.py), and lets its refusal say what was missing.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from deployer.local.completion import App, LocalCloud, Receive, Scope, Send
from deployer.local.emulator.answers import headers_of
from deployer.local.emulator.private_parts import EmulatorChanged, load, require
from deployer.local.rights import evaluation
from deployer.local.rights.entails import entailed
from deployer.local.rights.judging import Access, Refusal, refusal, set_caller
from deployer.local.rights.resources import Request, resources_of

_request: ContextVar[Request | None] = ContextVar("request", default=None)
_refused: ContextVar[Refusal | None] = ContextVar("refused", default=None)


def install(cloud: LocalCloud) -> None:
    """Complete the evaluator, and the emulator's calls to it."""
    if not load("app").AUTH:
        raise EmulatorChanged("the emulator does not evaluate policies; process/environment.py must set AUTH")
    evaluation.complete()
    _learn_resources(load("core.iam_actions"))
    _learn_to_judge(load("core.iam_evaluator"))
    _learn_to_refuse(load("core.iam_actions"))


def middleware(cloud: LocalCloud, app: App) -> App:
    """Note whether a request came over plain HTTP, and forget the last one's caller, before it is evaluated."""

    async def seen(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            evaluation.is_plain.set(headers_of(scope).get("x-forwarded-proto") == ["http"])
            _request.set(None)
            _refused.set(None)
            set_caller(None)
        await app(scope, receive, send)

    return seen


def _learn_resources(actions: Any) -> None:
    find_action = require(
        actions, "extract_iam_action", ("service", "method", "path", "headers", "body", "query_params")
    )
    find_resource = require(
        actions,
        "extract_resource_arn",
        ("service", "method", "path", "headers", "body", "query_params", "region", "account_id"),
    )

    def extract_iam_action(service: str, method: str, path: str, headers: Any, body: bytes, query_params: Any) -> Any:
        if service == "monitoring" and "/operation/" in path:  # CBOR names its operation in the path
            return f"cloudwatch:{path.rpartition('/')[2]}"
        return find_action(service, method, path, headers, body, query_params)

    def extract_resource_arn(
        service: str,
        method: str,
        path: str,
        headers: Any,
        body: bytes,
        query_params: Any,
        region: str,
        account_id: str,
    ) -> Any:
        account = account_id or load("core.responses").get_account_id()
        _request.set(Request(service, method, path, headers, body, query_params, region, account))
        return find_resource(service, method, path, headers, body, query_params, region, account_id)

    actions.extract_iam_action, actions.extract_resource_arn = extract_iam_action, extract_resource_arn


def _learn_to_judge(evaluator: Any) -> None:
    original = require(
        evaluator,
        "enforce",
        ("access_key_id", "iam_action", "service", "region", "resource_arn", "service_context"),
    )

    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Mapping[str, Any] | None = None,
    ) -> Any:
        request = _request.get()
        known = request if request is not None and request.service == service else None
        context = {**(service_context or {}), **(_further_keys(known, iam_action) if known else {})}
        places = (resources_of(known, iam_action) if known else []) or [(resource_arn,)]
        principal = None
        for alternatives in places:
            for place in alternatives:
                denied = original(access_key_id, iam_action, service, region, place, context)
                if denied is None:
                    break
            if isinstance(denied, evaluator.AuthError):
                return denied
            if principal is None:
                principal = _principal(evaluator, service, access_key_id)
                set_caller(principal)
            # The emulator evaluates nothing for the account's root, but a Deny in a resource's policy binds root, too.
            asked = denied is not None or principal.policies is None or principal.type == "Anonymous"
            refused = refusal(principal, Access(iam_action, place, context)) if asked else None
            if refused is not None:
                return _refuse(evaluator, refused)
            if denied is not None:
                return denied
        for access in entailed(known, iam_action, places[0][0]) if known else ():
            if (refused := refusal(principal, access)) is not None:
                return _refuse(evaluator, refused)
        return None

    evaluator.enforce = enforce


def _principal(evaluator: Any, service: str, access_key_id: str) -> Any:
    """Return the owner of an access key; an S3 request without one, which the emulator takes for root's, is anonymous."""
    if service == "s3" and evaluator._anonymous.get():
        return evaluator.PrincipalInfo(arn="anonymous", type="Anonymous", account="", policies=[])
    return evaluator.resolve_principal(access_key_id or "", load("core.responses").get_account_id())


def _refuse(evaluator: Any, refused: Refusal) -> Any:
    _refused.set(refused)
    decision = "Deny" if refused.explicit else "ImplicitDeny"
    return evaluator.EvalResult(decision, refused.principal, reason=refused.message)


def _learn_to_refuse(actions: Any) -> None:
    original = require(actions, "access_denied_response")

    def access_denied_response(service: str, action: str, principal_arn: str, request_id: str, **more: Any) -> Any:
        refused = _refused.get()
        if refused is not None and not more.get("error_code"):
            more["message"] = refused.message
            more["resource_arn"] = refused.access.resource
            action = refused.access.action
        return original(service, action, principal_arn, request_id, **more)

    actions.access_denied_response = access_denied_response


def _further_keys(request: Request, action: str) -> dict[str, Any]:
    """Return the condition keys of services that the emulator does not fill in."""
    if action == "cloudwatch:PutMetricData":
        return {"cloudwatch:namespace": _parameters(request).get("Namespace")}
    if action.startswith("cloudformation:"):
        given = {name: value[0] if isinstance(value, list) else value for name, value in request.query.items()}
        imports = next((value for name, value in given.items() if name.startswith("ResourcesToImport.")), None)
        return {
            "cloudformation:changesetname": given.get("ChangeSetName"),
            "cloudformation:importresourcetypes": imports,
            "cloudformation:rolearn": given.get("RoleARN"),
        }
    return {}


def _parameters(request: Request) -> Mapping[str, Any]:
    """Return the input of a call to CloudWatch, in whichever of its three protocols."""
    if "cbor" in request.headers.get("content-type", ""):
        from botocore.parsers import RpcV2CBORParser

        reader = io.BufferedReader(io.BytesIO(request.body))
        found = RpcV2CBORParser().parse_data_item(reader)
        return found if isinstance(found, dict) else {}
    given = {name: value[0] if isinstance(value, list) else value for name, value in request.query.items()}
    return request.data or given
