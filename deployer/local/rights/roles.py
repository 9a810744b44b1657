"""A service that uses a role: whether it may assume it, what it may do with it, and credentials for a process.

The one module of this room that completions use: ``role = taken_by("glue.amazonaws.com", arn)``, then `require`,
`may`, `credentials` or `environment`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer.local.emulator.private_parts import load
from deployer.local.rights.judging import Access, Denied, refusal

#: Service in a target's ARN -> what a role needs to send to the target.
#: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
#: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html
SENDS = {
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "lambda": "lambda:InvokeFunction",
    "events": "events:PutEvents",
}


@dataclass(frozen=True)
class Role:
    """A role that a service has assumed. Its policies are read anew for each access."""

    arn: str
    session: str

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def name(self) -> str:
        return self.arn.rpartition("/")[2]

    @property
    def session_arn(self) -> str:
        return f"arn:aws:sts::{self.account}:assumed-role/{self.name}/{self.session}"

    def require(self, action: str, resource: str, context: Mapping[str, Any] | None = None) -> None:
        """Raise `Denied` unless the role may do this."""
        if (found := refusal(self.principal(), Access(action, resource, context or {}))) is not None:
            raise Denied(found.message)

    def may(self, action: str, resource: str, context: Mapping[str, Any] | None = None) -> bool:
        return refusal(self.principal(), Access(action, resource, context or {})) is None

    def principal(self) -> Any:
        """Return the emulator's view of a session of the role."""
        evaluator, iam = load("core.iam_evaluator"), load("services.iam")
        record = iam._roles.get_scoped(self.account, None, self.name) or {}
        tags = {f"aws:principaltag/{tag['Key'].lower()}": tag["Value"] for tag in record.get("Tags") or []}
        return evaluator.PrincipalInfo(
            arn=self.session_arn,
            type="AssumedRole",
            account=self.account,
            policies=evaluator._gather_role_policies(self.name, self.account),
            keys={"aws:userid": f"{record.get('RoleId', self.name)}:{self.session}", **tags},
            limits=evaluator._permissions_boundary(iam._roles, self.name, self.account),
        )

    def credentials(self) -> dict[str, str]:
        """Return temporary credentials of the role, named like the environment variables that SDKs read."""
        digest = hashlib.sha256(f"{self.arn}:{self.session}".encode()).hexdigest()
        key, secret, token = f"ASIA{digest[:16].upper()}", f"secret-{digest}", f"token-{digest}"
        session = {"Arn": self.session_arn, "UserId": f"{self.name}:{self.session}"}
        load("services.sts").register_session(key, {**session, "SecretAccessKey": secret, "SessionToken": token})
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}


def taken_by(service: str, role_arn: str, session: str, context: Mapping[str, Any] | None = None) -> Role:
    """Assume the role for a service (``glue.amazonaws.com``).

    Raise `Denied` if there is no such role, or its trust policy does not name the service. `context` has the condition
    keys that the service sends besides the account (``sts:ExternalId``).
    """
    role = Role(role_arn, session)
    record = load("services.iam")._roles.get_scoped(role.account, None, role.name) if role_arn.count(":") == 5 else None
    given = {"aws:sourceaccount": load("core.responses").get_account_id()}
    given |= {name.lower(): value for name, value in (context or {}).items()}
    if record is None or not _trusts(record.get("AssumeRolePolicyDocument", "{}"), role_arn, service, given):
        raise Denied(f"{service} is not authorized to perform: sts:AssumeRole on resource: {role_arn}")
    return role


def _trusts(document: Any, role_arn: str, service: str, context: Mapping[str, Any]) -> bool:
    evaluator = load("core.iam_evaluator")
    asked = evaluator.EvalContext(
        principal_arn=f"arn:aws:iam::aws:service/{service}",
        principal_type="Service",
        principal_account="",
        action="sts:AssumeRole",
        resource_arn=role_arn,
        region=load("core.responses").get_region(),
        service_context={**context, "aws:principalisawsservice": "true"},
    )
    policy = json.loads(document) if isinstance(document, str) else document
    named = [
        {**statement, "Resource": "*"}
        for statement in policy.get("Statement", [])
        if evaluator._service_principal_matches(statement.get("Principal"), service)
    ]
    parsed = evaluator.parse_policy_document({"Statement": named})
    return bool(evaluator.evaluate(asked, [parsed]).decision == "Allow")
