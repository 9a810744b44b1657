"""AssumeRole honours the role's trust policy: who may take it, and with which external id.

It is judged here for the account's root as well, and answered alike where there is no such role. The evaluation is
the emulator's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, replace, require


def install(cloud: LocalCloud) -> None:
    """Ask before the emulator hands out a session."""
    sts = load("services.sts")
    require(sts, "_caller_identity", ("headers", "query_params"))
    require(load("core.iam_evaluator"), "evaluate_trust_policy", ("trust_doc", "caller_arn", "ctx"))
    require(load("services.iam"), "_roles")
    original = sts.handle_request

    async def handle_request(method: str, path: str, headers: Any, body: bytes, query_params: Any) -> Any:
        parameters = request_parameters(headers, body, query_params)
        if parameters.get("Action") == "AssumeRole":
            caller = str(sts._caller_identity(headers, query_params)["userArn"])
            role_arn = parameters.get("RoleArn", "")
            if role_arn.count(":") == 5 and not may_take(role_arn, caller, parameters.get("ExternalId")):
                message = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
                return sts._error(403, "AccessDenied", message, ns="sts")
        return await original(method, path, headers, body, query_params)

    replace(sts, "handle_request", handle_request)


def may_take(role_arn: str, caller_arn: str, external_id: str | None) -> bool:
    """Whether the role exists and its trust policy allows the caller; AWS answers alike when it does not exist."""
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    role = load("services.iam")._roles.get_scoped(account, None, name)
    if role is None:
        return False
    evaluator = load("core.iam_evaluator")
    context = evaluator.EvalContext(
        principal_arn=caller_arn,
        principal_type="Root" if caller_arn.endswith(":root") else "AssumedRole",
        principal_account=caller_arn.split(":")[4],
        action="sts:AssumeRole",
        resource_arn=role_arn,
        region="",
        service_context={"sts:externalid": external_id},
    )
    return bool(evaluator.evaluate_trust_policy(role.get("AssumeRolePolicyDocument", "{}"), caller_arn, context))


def request_parameters(headers: Mapping[str, str], body: bytes, query_params: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a query-protocol (or JSON) request, one value each."""
    if "amz-json" in headers.get("content-type", ""):
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        return {"Action": action, **{name: str(value) for name, value in json.loads(body or b"{}").items()}}
    given = {**query_params, **parse_qs(body.decode("utf-8", "replace"))}
    return {name: str(values[0] if isinstance(values, list) else values) for name, values in given.items() if values}
