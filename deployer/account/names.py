"""Names that the templates choose themselves: if one is already taken, its stack would fail.

Only stacks that do not exist are asked about; of a stack that does, everything with its names is its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.account.checks import AccountCheck, blocker, ok

NAMES = "names"
Client = Callable[[str], Any]


@dataclass(frozen=True)
class Named:
    """A resource whose name is known before it is made."""

    stack: str
    type: str
    name: str


def clashes(client: Client, named: list[Named]) -> Iterator[AccountCheck]:
    """Yield a blocker for each name that is taken."""
    taken = [each for each in named if _NAMED[each.type].exists(client, each.name)]
    for each in taken:
        yield blocker(
            NAMES,
            f"{each.type} {each.name} already exists, and stack {each.stack} would create it",
            _NAMED[each.type].advice,
        )
    if not taken:
        yield ok(
            NAMES,
            f"none of {len(named)} fixed names is taken" if named else "all stacks exist, and the names belong to them",
        )


def named_resources(stack: str, resources: Iterable[Mapping[str, Any]], values: Mapping[str, str]) -> Iterator[Named]:
    """Yield those of a stack's resources whose names follow from these values of parameters and pseudo-parameters."""
    for resource in resources:
        if (kind := _NAMED.get(resource.get("Type", ""))) is None:
            continue
        found: Any = resource.get("Properties") or {}
        for step in kind.path:
            found = found.get(step) if isinstance(found, Mapping) else None
        name = _resolved(found, values)
        if name is not None:
            yield Named(stack, resource["Type"], name)


def _resolved(value: Any, values: Mapping[str, str]) -> str | None:
    """Return the text of a Ref or Sub; None if part of it is not known before the deployment."""
    match value:
        case str():
            return value
        case {"Ref": str(name)}:
            return values.get(name)
        case {"Fn::Sub": str(text)}:
            names = re.findall(r"\$\{([^}!]+)\}", text)
            if all(name in values for name in names):
                return re.sub(r"\$\{([^}!]+)\}", lambda found: values[found.group(1)], text)
    return None


def _in_athena(client: Client, name: str) -> bool:
    athena = client("athena")
    try:
        athena.get_work_group(WorkGroup=name)
    except athena.exceptions.InvalidRequestException:  # Athena has no other word for a workgroup that is not there
        return False
    return True


def _in_glue(glue: Any, look: Callable[[], Any]) -> bool:
    try:
        look()
    except glue.exceptions.EntityNotFoundException:
        return False
    return True


def _is_database(client: Client, name: str) -> bool:
    glue = client("glue")
    return _in_glue(glue, lambda: glue.get_database(Name=name))


def _is_crawler(client: Client, name: str) -> bool:
    glue = client("glue")
    return _in_glue(glue, lambda: glue.get_crawler(Name=name))


def _is_job(client: Client, name: str) -> bool:
    glue = client("glue")
    return _in_glue(glue, lambda: glue.get_job(JobName=name))


def _is_security_configuration(client: Client, name: str) -> bool:
    glue = client("glue")
    return _in_glue(glue, lambda: glue.get_security_configuration(Name=name))


def _is_alias(client: Client, name: str) -> bool:
    pages = client("kms").get_paginator("list_aliases").paginate()
    return any(alias["AliasName"] == name for page in pages for alias in page["Aliases"])


def _is_log_group(client: Client, name: str) -> bool:
    pages = client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    return any(group["logGroupName"] == name for page in pages for group in page["logGroups"])


def _is_secret(client: Client, name: str) -> bool:
    secrets = client("secretsmanager")
    try:
        secrets.describe_secret(SecretId=name)  # also describes a deleted one, which keeps its name for some days
    except secrets.exceptions.ResourceNotFoundException:
        return False
    return True


@dataclass(frozen=True)
class _Kind:
    """Where a type has its name, whether something of that name is there, and what to do then."""

    path: tuple[str, ...]
    exists: Callable[[Client, str], bool]
    advice: str = (
        "if it is left over from an earlier deployment and no longer needed, delete it; otherwise rename or move it"
    )


_NAMED: Mapping[str, _Kind] = {
    "AWS::Athena::WorkGroup": _Kind(("Name",), _in_athena),
    "AWS::Glue::Crawler": _Kind(("Name",), _is_crawler),
    "AWS::Glue::Database": _Kind(("DatabaseInput", "Name"), _is_database),
    "AWS::Glue::Job": _Kind(("Name",), _is_job),
    "AWS::Glue::SecurityConfiguration": _Kind(("Name",), _is_security_configuration),
    "AWS::KMS::Alias": _Kind(("AliasName",), _is_alias),
    "AWS::Logs::LogGroup": _Kind(
        ("LogGroupName",),
        _is_log_group,
        "if other crawlers of the account write to it, set CrawlerLogGroup: others; otherwise delete it",
    ),
    "AWS::SecretsManager::Secret": _Kind(
        ("Name",), _is_secret, "if it is no longer needed, delete it without a recovery window, which keeps its name"
    ),
}
