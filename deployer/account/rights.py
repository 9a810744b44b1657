"""Whether these credentials, and the pipeline's role, have the permissions that `dataops iam-policy` prints.

IAM's own simulator decides, statement by statement, with the context that each demands. It weighs boundaries and the
organization's policies as well.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deployer.account.checks import AccountCheck, blocker, ok, warning

RIGHTS = "rights"
SHOWN = 5


def principal_of(iam: Any, caller: str) -> str | None:
    """Return the user or role behind a caller's ARN; None for the account's root, which no policy limits."""
    kind, _, name = caller.rpartition(":")[2].partition("/")
    if kind == "assumed-role":
        return str(iam.get_role(RoleName=name.partition("/")[0])["Role"]["Arn"])  # the caller's has no path
    return caller if kind == "user" else None


def rights(iam: Any, principal: str | None, policy: Mapping[str, Any]) -> Iterator[AccountCheck]:
    """Yield the missing permissions. Simulating what CloudFormation does in our name is less certain: a warning."""
    if principal is None:
        yield ok(RIGHTS, "these credentials are the account's root, which no policy limits")
        return
    statements = policy["Statement"]
    own = [each for each in statements if each["Sid"].startswith("Dataops")]
    missing = [action for each in own for action in _denied(iam, principal, each)]
    beyond = [action for each in statements if each not in own for action in _denied(iam, principal, each)]
    advice = "attach all files that `dataops iam-policy` prints to the role"
    if missing:
        yield blocker(RIGHTS, f"{principal} may not {_some(missing)}", advice)
    if beyond:
        yield warning(RIGHTS, f"CloudFormation may not do this for {principal}: {_some(beyond)}", advice)
    if not missing and not beyond:
        yield ok(RIGHTS, f"{principal} has all {len(statements)} statements of the printed policy")


def rights_of_the_pipeline(
    iam: Any, name: str, principal: str | None, policy: Mapping[str, Any]
) -> Iterator[AccountCheck]:
    """Yield what the pipeline's role lacks, if it exists and is not these credentials' own: they can deploy without it."""
    try:
        role = str(iam.get_role(RoleName=name)["Role"]["Arn"])
    except iam.exceptions.NoSuchEntityException:
        return
    if role == principal:
        return
    statements = policy["Statement"]
    missing = [action for each in statements for action in _denied(iam, role, each)]
    if missing:
        yield warning(
            RIGHTS,
            f"the pipeline's role {role} may not {_some(missing)}",
            "run `dataops bootstrap` again, which gives the role what `dataops iam-policy` prints now",
        )
    else:
        yield ok(RIGHTS, f"the pipeline's role {role} has all {len(statements)} statements of the printed policy")


def _some(actions: list[str]) -> str:
    names = sorted(set(actions))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _denied(iam: Any, principal: str, statement: Mapping[str, Any]) -> list[str]:
    """Return the actions of a statement that are allowed on none of its resources; not every action applies to all of them."""
    allowed: set[str] = set()
    for resource in _list(statement["Resource"]):
        pages = iam.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=principal,
            ActionNames=list(statement["Action"]),
            ResourceArns=[_example(resource)],
            ContextEntries=_context(statement.get("Condition", {})),
        )
        for page in pages:
            allowed |= {r["EvalActionName"] for r in page["EvaluationResults"] if r["EvalDecision"] == "allowed"}
    return [action for action in statement["Action"] if action not in allowed]


def _context(conditions: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return values that satisfy the conditions. Keys that must be absent or different are left out."""
    entries = []
    for operator, keys in conditions.items():
        if "Not" in operator or operator == "Null":
            continue
        kind = "stringList" if operator.startswith("ForA") else "string"
        for key, values in keys.items():
            entries.append(
                {
                    "ContextKeyName": key,
                    "ContextKeyValues": [_example(value) for value in _list(values)][: None if kind != "string" else 1],
                    "ContextKeyType": kind,
                }
            )
    return entries


def _example(pattern: str) -> str:
    """Return something that the pattern matches."""
    return pattern if pattern == "*" else pattern.replace("*", "example")


def _list(values: Any) -> list[str]:
    return [values] if isinstance(values, str) else list(values)
