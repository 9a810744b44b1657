"""Answers questions about an account: Lake Formation's defaults, the catalog's encryption, quotas, effects of policies.

The emulator has no Lake Formation, no Service Quotas and no limits for Kinesis, and simulates policies without the
given context. The answers are those of a new account in which nothing has been changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from deployer.local.completion import App, LocalCloud, Receive, Scope, Send
from deployer.local.emulator.answers import headers_of, send_answer
from deployer.local.emulator.private_parts import EmulatorChanged, load, require

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
#: https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
STREAMS_ON_DEMAND, SHARDS = 50, 500
#: https://docs.aws.amazon.com/general/latest/gr/glue.html
TASK_DPUS = 1000
_EVERYBODY = [{"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}]
_SIGNED_FOR_LAKE_FORMATION = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/lakeformation/")


def install(cloud: LocalCloud) -> None:
    """Replace the simulation of policies; `middleware` gives the other answers."""
    iam, evaluator = load("services.iam"), load("core.iam_evaluator")
    for name, parameters in {
        "_gather_role_policies": ("role_name", "account_id"),
        "_gather_user_policies": ("user_name", "account_id"),
        "_permissions_boundary": ("store", "name", "account_id"),
    }.items():
        require(evaluator, name, parameters)
    require(iam, "_extract_simulate_params", ("p",))
    actions = require(iam, "_IAM_HANDLERS")
    if "SimulatePrincipalPolicy" not in actions:
        raise EmulatorChanged("the emulator's IAM no longer simulates policies")
    actions["SimulatePrincipalPolicy"] = lambda p: simulate(iam, evaluator, p)
    require(load("services.kinesis"), "_streams")


def middleware(cloud: LocalCloud, app: App) -> App:
    """Answer the calls that the emulator does not know."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        answer = _answer_to(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        if answer is None:
            await app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        document = json.dumps(answer(json.loads(body or b"{}"))).encode()
        await send_answer(send, 200, "application/x-amz-json-1.1", document)

    return answering


def _answer_to(scope: Scope) -> Answer | None:
    headers = headers_of(scope)
    target = headers.get("x-amz-target", [""])[0]
    if any(_SIGNED_FOR_LAKE_FORMATION.search(value) for value in headers.get("authorization", [])):
        return _OF_LAKE_FORMATION.get(scope["path"])
    return _BY_TARGET.get(target)


def _put_settings(request: Mapping[str, Any]) -> Mapping[str, Any]:
    _SETTINGS.clear()
    _SETTINGS.update(request.get("DataLakeSettings", {}))
    return {}


def _limits_of_kinesis(_: Mapping[str, Any]) -> Mapping[str, Any]:
    streams = list(load("services.kinesis")._streams.values())
    on_demand = [s for s in streams if s.get("StreamModeDetails", {}).get("StreamMode") == "ON_DEMAND"]
    shards = sum(len(s.get("shards", ())) for s in streams if s not in on_demand)
    return {
        "ShardLimit": SHARDS,
        "OpenShardCount": shards,
        "OnDemandStreamCount": len(on_demand),
        "OnDemandStreamCountLimit": STREAMS_ON_DEMAND,
    }


#: Lake Formation's settings. They are kept until the local cloud ends, and have no effect.
_SETTINGS: dict[str, Any] = {
    "DataLakeAdmins": [],
    "CreateDatabaseDefaultPermissions": _EVERYBODY,
    "CreateTableDefaultPermissions": _EVERYBODY,
}
_OF_LAKE_FORMATION: Mapping[str, Answer] = {
    "/GetDataLakeSettings": lambda _: {"DataLakeSettings": _SETTINGS},
    "/PutDataLakeSettings": _put_settings,
    "/ListPermissions": lambda _: {"PrincipalResourcePermissions": []},
}
_BY_TARGET: Mapping[str, Answer] = {
    "AWSGlue.GetDataCatalogEncryptionSettings": lambda _: {
        "DataCatalogEncryptionSettings": {"EncryptionAtRest": {"CatalogEncryptionMode": "DISABLED"}}
    },
    "Kinesis_20131202.DescribeLimits": _limits_of_kinesis,
    "ServiceQuotasV20190624.ListServiceQuotas": lambda _: {
        "Quotas": [{"ServiceCode": "glue", "QuotaName": "Max task DPUs per account", "Value": float(TASK_DPUS)}]
    },
}


def simulate(iam: Any, evaluator: Any, p: Mapping[str, Any]) -> Any:
    """Answer SimulatePrincipalPolicy for one resource, with the given context."""
    arn = iam._p(p, "PolicySourceArn")
    account, _, resource = arn.split(":", 4)[4].partition(":")
    kind, _, path = resource.partition("/")
    is_role, name = kind == "role", path.rpartition("/")[2]
    gather = evaluator._gather_role_policies if is_role else evaluator._gather_user_policies
    boundary = evaluator._permissions_boundary(iam._roles if is_role else iam._users, name, account)
    policies = gather(name, account), *boundary
    actions, resource_arn = iam._extract_simulate_params(p)
    results = "".join(
        _result(evaluator, arn, account, each, resource_arn, policies, _context(iam, p)) for each in actions
    )
    body = f"<EvaluationResults>{results}</EvaluationResults><IsTruncated>false</IsTruncated>"
    call = "SimulatePrincipalPolicy"
    return iam._xml(200, f"{call}Response", f"<{call}Result>{body}</{call}Result>", ns="iam")


def _result(
    evaluator: Any, arn: str, account: str, action: str, resource: str, policies: Any, context: dict[str, Any]
) -> str:
    asked = evaluator.EvalContext(
        principal_arn=arn,
        principal_type="User",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region="",
        service_context=context,
    )
    decision = {"Allow": "allowed", "Deny": "explicitDeny"}.get(
        evaluator.evaluate(asked, *policies).decision, "implicitDeny"
    )
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>{escape(resource)}"
        f"</EvalResourceName><EvalDecision>{decision}</EvalDecision></member>"
    )


def _context(iam: Any, p: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context of a request as the evaluator expects it: keys in lower case, lists for several values."""
    found: dict[str, Any] = {}
    number = 1
    while name := iam._p(p, f"ContextEntries.member.{number}.ContextKeyName"):
        values, at = [], 1
        while value := iam._p(p, f"ContextEntries.member.{number}.ContextKeyValues.member.{at}"):
            values.append(value)
            at += 1
        is_list = iam._p(p, f"ContextEntries.member.{number}.ContextKeyType").endswith("List")
        found[name.lower()] = values if is_list else values[0]
        number += 1
    return found
