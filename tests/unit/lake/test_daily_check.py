"""dataops check: what it prints, and how it ends."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from documented import shown
from fake_aws import OUTPUTS, ROOT, Failure, FakeAthena, FakeSession
from refunds_checks.facts import read_facts
from refunds_checks.registry import load_checks
from refunds_checks.statements import COUNT_COLUMN, statement
from refunds_lake.publishing.manifests import InputObject, Manifest, Month, RunKind, manifest_key
from refunds_lake.storage.objects import S3ObjectStore

from deployer.cli import run
from deployer.composition import environment
from deployer.errors import UsageError
from deployer.lake import daily_check
from deployer.lake.daily_check import day_from
from deployer.terminal.app import App

Run = Callable[..., tuple[int, str, str]]
DAY = date(2026, 10, 1)
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
CHECKS = {check.name: check for check in load_checks(ROOT / "athena" / "checks")}
MANIFEST = Manifest(
    number=1,
    run_id="20261001T120000Z-00000000",
    parent=None,
    job_run_id="jr_00000000",
    kind=RunKind.INCREMENT,
    started_at=NOON,
    finished_at=NOON,
    reporting_time_zone="UTC",
    inputs=(InputObject("transactions/source=s3/a.csv", "etag", NOON, 10, 100, 0),),
    tables={"purchase": {"2026-09": Month("s3://base/x/", 1, None)}},
    changed={"purchase": ("2026-09",)},
)


@pytest.fixture
def session() -> Any:
    session = FakeSession(athena=FakeAthena(columns=("id", COUNT_COLUMN)))
    session.s3.objects["base", manifest_key("base/", MANIFEST.number)] = MANIFEST.as_json()
    return session


@pytest.fixture
def dataops(session: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line against the fakes; gives exit code, stdout and stderr."""
    monkeypatch.setattr(App, "connect", lambda self, name, **_: session)
    monkeypatch.setattr(App, "environment", lambda self, name: session.environment)
    monkeypatch.setattr(environment, "stack_outputs", lambda session: OUTPUTS)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["--project-dir", str(ROOT), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def finds(session: Any, name: str, rows: Any) -> None:
    """Let the statement of a check have rows, or fail."""
    facts = read_facts(S3ObjectStore(session.s3, "base"), "base/", DAY)
    session.athena.results["refunds_base_test", statement(CHECKS[name], facts)] = rows


def test_a_sound_day(dataops: Run) -> None:
    """Given a day without a fault, when it is checked, then it ends with 0, and all is printed as docs/operations.md shows it."""
    code, out, err = dataops("check", "--env", "test", "--date", "2026-10-01")
    assert code == 0
    page = shown("check --env local --date 2026-11-29").replace("2026-11-29", "2026-10-01")
    assert err + out == re.sub(r"[\d,]+ bytes scanned", "13,574 bytes scanned", page)


def test_warnings_alone_end_well(dataops: Run, session: Any) -> None:
    """Given a warning with rows, when the day is checked, then it is shown, and the end is 0 all the same."""
    finds(session, "oversized_refunds", [(f"R{number}", "5") for number in range(5)])
    code, out, err = dataops("check", "--env", "test", "--date", "2026-10-01")
    assert code == 0
    assert out.endswith(
        "\noversized_refunds (id), see docs/operations.md#oversized_refunds:\n  R0\n  R1\n  R2\n  and 2 more\n"
    )
    assert "0 errors, 1 warning;" in err


@pytest.mark.parametrize(
    ("name", "found"),
    [("duplicate_ids", [("P1", "1")]), ("old_orphan_refunds", Failure("TABLE_NOT_FOUND"))],
)
def test_errors_end_with_one(dataops: Run, session: Any, name: str, found: Any) -> None:
    """Given an error with rows, or any check that cannot run, when the day is checked, then the end is 1 and JSON says which."""
    finds(session, name, found)
    code, out, _ = dataops("check", "--env", "test", "--date", "2026-10-01", "--output", "json")
    document = json.loads(out)
    assert code == 1
    assert document["errors"] == document["failing"] == [name]
    (line,) = [check for check in document["checks"] if check["name"] == name]
    assert line["verdict"] == ("failed" if name == "duplicate_ids" else "broken")
    assert "TABLE_NOT_FOUND" in line["note"] or line["examples"] == [["P1"]]


def test_routes_of_dataops_yml_are_watched(dataops: Run, session: Any) -> None:
    """Given an expected route that did not deliver, when the day is checked, then it is an error."""
    session.environment.expected_every_hours = {"s3": 24, "sftp": 24}
    code, out, _ = dataops("check", "--env", "test", "--date", "2026-10-01")
    assert code == 1
    assert "stale_routes (route, last_arrival, expected_every_hours)" in out
    assert "\n  sftp, None, 24\n" in out and "  s3," not in out


def test_the_month_end_s_checks_look_at_all_months(dataops: Run, session: Any) -> None:
    """Given --blocking, when it runs, then only the blocking checks are made, over every live month; a date is refused."""
    code, out, _ = dataops("check", "--env", "test", "--blocking")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        "row_count_disagreements",
        "refund_detail_disagreements",
        "duplicate_ids",
        "negative_totals",
    ]
    (totals,) = [each["QueryString"] for each in session.athena.started if "sum(" in each["QueryString"]]
    assert "between '2026-09' and '2026-09'" in totals
    assert dataops("check", "--env", "test", "--blocking", "--date", "2026-10-01")[0] == 2


def test_the_day_is_yesterday_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given no date, then the day is yesterday in UTC; a date that is none is told."""
    monkeypatch.setattr(daily_check, "utc_now", lambda: NOON)
    assert day_from(None) == DAY - timedelta(days=1)
    assert day_from("2026-09-30") == date(2026, 9, 30)
    with pytest.raises(UsageError, match="'tomorrow' is not a day"):
        day_from("tomorrow")


def test_a_checkout_without_checks_is_told(dataops: Run, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a checkout whose table of checks is missing, when checks are asked for, then the error names the file."""
    monkeypatch.setattr(App, "project", lambda self: type("P", (), {"directory": tmp_path})())
    code, _, err = dataops("check", "--env", "test")
    assert code == 1
    assert "athena/checks/checks.json: not a table of checks" in err
