"""docs/json-output.md is the contract of --output json: it lists the fields that the commands' results have, and no other."""

from __future__ import annotations

import datetime as dt
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from decimal import Decimal
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from deployments import World, passing
from repository import ROOT

from deployer import cli
from deployer.commands import (
    bootstrap,
    check,
    cost,
    data,
    destroy,
    diff,
    doctor,
    drift,
    history,
    iam_policy,
    ingest,
    local,
    logs,
    new,
    query,
    rejected,
    replay,
    report,
    restore,
    review,
    sample,
    secret,
    sftp,
    show,
    statement,
    status,
    unlock,
)
from deployer.documents import as_document
from deployer.lake.loads import Load
from deployer.ledger.ledger import Current, Ledger
from deployer.ledger.verdict import Verdict
from deployer.planning.plan import Plan
from deployer.refunds import RefundRow
from deployer.validation.findings import ValidationResult

PAGE = (ROOT / "docs" / "json-output.md").read_text(encoding="utf-8")
RESULTS: dict[str, type] = {
    "new": new.NewResult,
    "validate": ValidationResult,
    "history": history.HistoryResult,
    "show": show.ShowResult,
    "diff": diff.DiffResult,
    "status": status.StatusResult,
    "doctor": doctor.DoctorResult,
    "drift": drift.DriftResult,
    "destroy": destroy.DestroyResult,
    "unlock": unlock.UnlockResult,
    "review": review.ReviewResult,
    "ingest": ingest.IngestResult,
    "sftp": sftp.SftpUserAdded,
    "run": Load,
    "replay": Load,
    "replay --delivery-errors": replay.ReplayedDeliveries,
    "report": report.ReportResult,
    "query": query.QueryOutput,
    "rejected": rejected.RejectedResult,
    "check": check.CheckResult,
    "statement issue": statement.StatementResult,
    "statement list": statement.StatementsResult,
    "statement show": statement.StatementResult,
    "statement changes": statement.ChangesResult,
    "logs": logs.LogResult,
    "cost": cost.CostResult,
    "data runs": data.RunsResult,
    "data rebuild-catalog": data.CatalogResult,
    "data rollback": data.RollbackResult,
    "data sweep": data.SweepResult,
    "restore": restore.RestoreResult,
    "sample": sample.SampleResult,
    "secret set": secret.SecretSet,
    "local status": local.LocalStatus,
    "local stop": local.LocalStop,
    "local reset": local.LocalReset,
    "bootstrap": bootstrap.BootstrapResult,
    "iam-policy": iam_policy.PolicyResult,
}
KEPT = {Current, Plan, Verdict}  # values that are kept in files too, under tables of their own
SCALARS = {
    str: "text", Path: "text", int: "integer", float: "number", bool: "true or false", Decimal: "amount",
    dt.datetime: "moment", type(None): "null",
}  # fmt: skip


def form(hint: Any) -> str:
    """What a type is in JSON, as the page writes it."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(form(each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        return "list of " + form(get_args(hint)[0])
    if get_origin(hint) is not None and issubclass(get_origin(hint), Mapping):
        name = form(get_args(hint)[1]) if get_args(hint)[1] is not Any else ""
        return f"object of {name}" if name else "object"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "text"
    return SCALARS.get(hint, "object")


def fields_of(kind: type, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each field with its path, nested ones below theirs; a value that documents itself is an object on the page."""
    for name, hint in get_type_hints(kind).items():
        yield prefix + name, form(hint)
        for part in (hint, *get_args(hint)):
            is_record = isinstance(part, type) and (is_dataclass(part) or part is RefundRow)
            if is_record and part not in KEPT:
                is_list = get_origin(hint) is tuple
                yield from fields_of(part, f"{prefix}{name}{'[]' if is_list else ''}.")


def documented(command: str) -> list[tuple[str, str]]:
    """The rows of a command's table on the page."""
    section = re.search(rf"^### {re.escape(command)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, f"docs/json-output.md has no section {command}"
    return re.findall(r"^\| `([^`]+)` \| ([^|]+) \| [^|]+ \|$", section.group(1), re.MULTILINE)


@pytest.mark.parametrize("command", RESULTS)
def test_the_page_lists_the_fields_of_the_result(command: str) -> None:
    """Given a command's frozen result, when its fields are compared with the page, then names, forms and order agree."""
    assert documented(command) == list(fields_of(RESULTS[command]))


# Commands whose documents are also kept in files: their fields are read from a real deployment, or from the command.


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Any]]:
    """The documents of a deployment of a small project, by the sections of the page."""
    world = World(tmp_path_factory.mktemp("shop"))
    world.smoke = passing
    plan, result = world.plan().document(), world.deploy().document()
    current = Ledger(world.store, "uat").current()
    assert current is not None and current.smoke is not None
    return {
        "deploy, promote, rollback": result,
        "stack of a deployment": result["stacks"][0],
        "plan": plan,
        "step of a plan": plan["steps"][0],
        "verdict": current.smoke.document(),
        "current": current.document(),
    }


SECTIONS = ["deploy, promote, rollback", "stack of a deployment", "plan", "step of a plan", "verdict", "current"]


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_lists_what_a_deployment_says(kept: Mapping[str, Mapping[str, Any]], section: str) -> None:
    """Given a deployment, when its documents are compared with the page, then they have the same fields."""
    envelope = {"version"} if section != "plan" else set()
    assert [name for name, _ in documented(section)] == [name for name in kept[section] if name not in envelope]


def test_every_command_is_on_the_page() -> None:
    """Given the commands that are there, when the page is searched, then each has a section."""
    named = set(re.findall(r"^### (.+)$", PAGE, re.MULTILINE))
    on_page = {command.split()[0] for section in named for command in section.split(", ")}
    there = {name for name in cli.COMMANDS if find_spec(cli.COMMANDS[name][0]) is not None}
    assert there <= on_page


def test_a_result_becomes_its_fields() -> None:
    """Given a result with amounts, moments, places and nothing, when it becomes JSON, then each has its form."""
    result = report.ReportResult("uat", None, (RefundRow("ann", Decimal("1.5")),), 1, Decimal("1.5"), 10)
    assert as_document(result) == {
        "env": "uat",
        "month": None,
        "rows": [{"customer_id": "ann", "total_refund": "1.50"}],
        "customers": 1,
        "total_refund": "1.50",
        "bytes_scanned": 10,
    }
    assert as_document((Path("a"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC))) == ["a", "2026-01-01T00:00:00+00:00"]
    with pytest.raises(TypeError):
        as_document(object())
