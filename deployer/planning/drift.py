"""Drift: what was changed outside of dataops. CloudFormation's own detection, and what it cannot see: the content of a
script or a function, the columns of a table, stacks that are not as the ledger recorded them. Known differences carry
reason and expiry.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from deployer.cloudformation.port import Cloud, StackState
from deployer.errors import DataopsError
from deployer.ledger.ledger import Current
from deployer.pauses import Pauses
from deployer.planning.deployed_services import DeployedServices
from deployer.planning.render import RenderedResource, render
from deployer.project.config import DriftIgnore
from deployer.project.templates import parse_template

_LOOKED_AT = ("AWS::Glue::Job", "AWS::Glue::Table", "AWS::Lambda::Function")
_UNDETECTED = ("not support", "no resources", "not eligible")


@dataclass(frozen=True)
class DriftFinding:
    """One difference."""

    stack: str  #: its name in dataops.yml
    logical_id: str  #: the resource
    what: str  #: `modified`, `deleted`, `script`, `code` (of a function), `table`, `ledger` or `not checked`
    property: str = ""  #: which property
    expected: str = ""  #: as it was deployed
    actual: str = ""  #: as it is
    ignored: str = ""  #: why it is known; empty when it is not

    def __str__(self) -> str:
        place = f"{self.stack}/{self.logical_id}" if self.logical_id else self.stack
        detail = (
            f" {self.property}: expected {self.expected or '(none)'}, is {self.actual or '(none)'}"
            if self.property
            else ""
        )
        return f"{place} {self.what}{detail}" + (f"  (known: {self.ignored})" if self.ignored else "")


def find_drift(
    cloud: Cloud,
    services: DeployedServices,
    states: Mapping[str, StackState | None],
    current: Current | None,
    pauses: Pauses,
) -> tuple[DriftFinding, ...]:
    """Return every difference of an environment, stack by stack."""
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda item: _of_stack(cloud, services, item[0], item[1], pauses), states.items())
        return tuple(_of_ledger(states, current)) + tuple(finding for findings in found for finding in findings)


def with_known(
    findings: Iterable[DriftFinding], ignores: Iterable[DriftIgnore], today: dt.date
) -> tuple[DriftFinding, ...]:
    """Return the findings, with the reason of each that dataops.yml declares as known; an expired entry counts no more."""
    valid = [ignore for ignore in ignores if today <= ignore.until]
    return tuple(replace(f, ignored=next((i.reason for i in valid if _covers(i, f)), "")) for f in findings)


def expired(ignores: Iterable[DriftIgnore], today: dt.date) -> tuple[str, ...]:
    return tuple(
        f"{i.where}: the entry for {i.stack}/{i.logical_id} ended on {i.until}" for i in ignores if today > i.until
    )


def _covers(ignore: DriftIgnore, finding: DriftFinding) -> bool:
    is_same = (ignore.stack, ignore.logical_id) == (finding.stack, finding.logical_id)
    return is_same and ignore.property_path in (None, finding.property)


def _of_ledger(states: Mapping[str, StackState | None], current: Current | None) -> Iterator[DriftFinding]:
    for stack, record in (current.stacks if current else {}).items():
        state = states.get(stack)
        if state is None:
            yield DriftFinding(stack, "", "ledger", "stack", "deployed", "gone")
        elif state.stack_id != record.stack_id:
            yield DriftFinding(stack, "", "ledger", "stack id", record.stack_id, state.stack_id)
        elif (state.status, state.last_updated) != (record.status, record.last_updated):
            yield DriftFinding(
                stack,
                "",
                "ledger",
                "last update",
                f"{record.status} at {record.last_updated}",
                f"{state.status} at {state.last_updated}",
            )


def _of_stack(
    cloud: Cloud, services: DeployedServices, stack: str, state: StackState | None, pauses: Pauses
) -> list[DriftFinding]:
    if state is None:
        return []
    resources = render(parse_template(cloud.template_body(state.stack_id), Path(stack)).document, state.parameters)
    return [*_of_cloudformation(cloud, stack, state, pauses), *_of_services(cloud, services, stack, state, resources)]


def _of_cloudformation(cloud: Cloud, stack: str, state: StackState, pauses: Pauses) -> Iterator[DriftFinding]:
    detection = cloud.detect_drift(state.stack_id)
    for _ in pauses.backoff():
        status, reason = cloud.drift_detection_status(detection)
        if status != "DETECTION_IN_PROGRESS":
            break
    if status == "DETECTION_FAILED" and not any(text in reason.lower() for text in _UNDETECTED):
        yield DriftFinding(stack, "", "not checked", "drift detection", "complete", reason or "failed")
    for drift in cloud.drifts(state.stack_id):
        if drift.status == "DELETED":
            yield DriftFinding(stack, drift.logical_id, "deleted")
        for path, expected, actual in drift.differences:
            yield DriftFinding(stack, drift.logical_id, "modified", path, expected, actual)


def _of_services(
    cloud: Cloud, services: DeployedServices, stack: str, state: StackState, resources: Mapping[str, RenderedResource]
) -> Iterator[DriftFinding]:
    looked_at = {name: r for name, r in resources.items() if r.type in _LOOKED_AT}
    physical = cloud.resources(state.stack_id) if looked_at else {}
    for name, resource in looked_at.items():
        match resource.type:
            case "AWS::Glue::Job":
                yield from _of_script(services, stack, resource, physical.get(name, ""))
            case "AWS::Lambda::Function":
                yield from _of_code(services, stack, resource, physical.get(name, ""))
            case _:
                yield from _of_table(services, stack, resource, physical)


def _of_script(services: DeployedServices, stack: str, job: RenderedResource, physical: str) -> Iterator[DriftFinding]:
    """Yield the script is where the template says, and its bytes have the hash that its key says."""
    address = services.script_of(physical)
    if address is None:
        yield DriftFinding(stack, job.logical_id, "deleted")
        return
    expected = str((job.properties.get("Command") or {}).get("ScriptLocation", ""))
    if "${" not in expected and expected != address:
        yield DriftFinding(stack, job.logical_id, "script", "Command.ScriptLocation", expected, address)
    content = services.content(address)
    wanted = _hash_in(address)
    actual = hashlib.sha256(content).hexdigest() if content is not None else "(gone)"
    if wanted and wanted != actual:
        yield DriftFinding(stack, job.logical_id, "script", "bytes", wanted, actual)


def _of_code(
    services: DeployedServices, stack: str, function: RenderedResource, physical: str
) -> Iterator[DriftFinding]:
    """Compare a function's package with the hash in its key; CloudFormation itself finds a function that is gone."""
    wanted, actual = _hash_in(str((function.properties.get("Code") or {}).get("S3Key", ""))), services.code_of(physical)
    if wanted and actual is not None and wanted != actual:
        yield DriftFinding(stack, function.logical_id, "code", "bytes", wanted, actual)


def _hash_in(address: str) -> str:
    """Return the hash in the address of a released artifact, "" if it has none."""
    return next((part for part in address.split("/") if len(part) == 64), "")


def _of_table(
    services: DeployedServices, stack: str, table: RenderedResource, physical: Mapping[str, str]
) -> Iterator[DriftFinding]:
    properties = table.properties.get("TableInput") or {}
    database = str(table.properties.get("DatabaseName", ""))
    if database.startswith("${"):
        database = physical.get(database.strip("${}"), database)
    columns = [*(properties.get("StorageDescriptor") or {}).get("Columns", ()), *properties.get("PartitionKeys", ())]
    expected = tuple((str(c["Name"]), str(c.get("Type", ""))) for c in columns)
    name = physical.get(table.logical_id) or str(properties.get("Name", ""))
    actual = services.columns_of(database, name.rsplit("|", 1)[-1])
    if actual is None:
        yield DriftFinding(stack, table.logical_id, "deleted")
    elif actual != expected:
        for column in dict.fromkeys([*dict(expected), *dict(actual)]):
            was, is_ = dict(expected).get(column, ""), dict(actual).get(column, "")
            if was != is_:
                yield DriftFinding(stack, table.logical_id, "table", f"column {column}", was, is_)
        if dict(actual) == dict(expected):
            yield DriftFinding(stack, table.logical_id, "table", "order of columns", _names(expected), _names(actual))


def _names(columns: Iterable[tuple[str, str]]) -> str:
    return ", ".join(name for name, _ in columns)


def require_deployed(states: Mapping[str, StackState | None], environment: str) -> None:
    if not any(states.values()):
        raise DataopsError(f"environment {environment} is not deployed yet", hint=f"dataops deploy --env {environment}")
