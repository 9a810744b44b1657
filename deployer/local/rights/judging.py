"""One question to the emulator's evaluator: may this principal do this, on this resource, under these conditions?

Identity policies, the resource's own policy, boundary and session policies are combined as AWS combines them.
requests.py and roles.py say who the principal is and what the request is.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from deployer.local.emulator.private_parts import load

#: Services whose namespace in policies is not the name of the emulator's module.
_RESOURCE_POLICY_OF = {"execute-api": "apigateway"}

#: The principal of the current request, and of the work that it has started; None for the local cloud itself.
_caller: ContextVar[Any] = ContextVar("caller", default=None)


class Denied(Exception):
    """AWS would answer AccessDenied; the message is AWS's."""


@dataclass(frozen=True)
class Access:
    """An action on a resource, with the condition keys (in lower case) that its service knows."""

    action: str
    resource: str
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """Why an access has failed."""

    principal: str
    access: Access
    explicit: bool
    by_resource: bool = False

    @property
    def message(self) -> str:
        kind = "resource" if self.by_resource else "identity"
        reason = f"because no {kind}-based policy allows the {self.access.action} action"
        if self.explicit:
            reason = f"with an explicit deny in {'a' if self.by_resource else 'an'} {kind}-based policy"
        what = f"perform: {self.access.action} on resource: {self.access.resource}"
        return f"User: {self.principal} is not authorized to {what} {reason}"


def caller() -> Any:
    """Return the principal (the emulator's `PrincipalInfo`) on whose behalf the current work is done, or None."""
    return _caller.get()


def set_caller(principal: Any) -> None:
    _caller.set(principal)


def refusal(principal: Any, access: Access) -> Refusal | None:
    """Return why `principal` may not do this, or None if it may. The local cloud itself (None) may do everything."""
    if principal is None:
        return None
    evaluator = load("core.iam_evaluator")
    context = {name.lower(): value for name, value in access.context.items()}
    context.setdefault("aws:tagkeys", None)
    if evaluator._names_condition_key(principal.policies or [], "aws:resourcetag/"):
        for name, value in (load("services.tagging").resource_tags(access.resource) or {}).items():
            context.setdefault(f"aws:resourcetag/{name}".lower(), value)
    asked = evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action=access.action,
        resource_arn=access.resource,
        region=load("core.responses").get_region(),
        secure_transport=evaluator._request_origin.get()[1],
        service_context=context,
        principal_keys=principal.keys,
    )
    service = access.action.partition(":")[0]
    own = evaluator._resource_policy(_RESOURCE_POLICY_OF.get(service, service), access.resource)
    if principal.policies is None:
        result = evaluator.evaluate_resource_policy(own[0], asked) if own is not None else None
        denied = result is not None and result.decision == "Deny"
        return Refusal(principal.arn, access, explicit=True, by_resource=True) if denied else None
    result = evaluator.evaluate(asked, principal.policies, *principal.limits)
    if own is not None:
        required = service in evaluator._POLICY_REQUIRED
        result = evaluator.combine_resource_policy(result, asked, *own, required=required, limits=principal.limits)
    if result.decision == "Allow":
        return None
    return Refusal(principal.arn, access, result.decision == "Deny", bool(result.resource_policy_arn))


def require(principal: Any, access: Access) -> None:
    """Raise `Denied` unless `principal` may do this."""
    if (found := refusal(principal, access)) is not None:
        raise Denied(found.message)
