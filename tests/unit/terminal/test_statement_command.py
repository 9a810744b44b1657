"""dataops statement: what it prints, what it refuses, and the exit codes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from fake_aws import OUTPUTS, ROOT, FakeSession
from month_end import CHECKS, MonthEnd, refund
from refunds_checks.validation import Answer, CheckBroken

from deployer.cli import run
from deployer.commands import statement
from deployer.composition import environment
from deployer.lake import statements
from deployer.terminal.app import App

Run = Callable[..., tuple[int, str, str]]
NOW = datetime(2026, 12, 5, 6, tzinfo=UTC)


@pytest.fixture
def lake() -> MonthEnd:
    lake = MonthEnd()
    lake.load(
        {
            "R0": refund("2026-08", "anna", "7.00"),
            "R1": refund("2026-10", "anna", "12.50"),
            "R2": refund("2026-10", "b\u202een", "0.10"),
        }
    )
    return lake


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def dataops(
    lake: MonthEnd, session: FakeSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command line against a lake in memory; gives exit code, stdout and stderr."""
    monkeypatch.setattr(App, "connect", lambda self, name, **_: session)
    monkeypatch.setattr(environment, "stack_outputs", lambda session: OUTPUTS)
    monkeypatch.setattr(statement, "checks_of", lambda directory: CHECKS)
    monkeypatch.setattr(statement, "deployed_release", lambda session: "5d9f1c0a7b3e4d21")
    monkeypatch.setattr(statements, "source_of", lambda found: lake.source)
    monkeypatch.setattr(statements, "base_store", lambda found: lake.store)
    monkeypatch.setattr(statements, "utc_now", lambda: lake.now)
    monkeypatch.setattr(statements, "getpass", SimpleNamespace(getuser=lambda: "finn"))

    def call(*arguments: str, env: str = "local") -> tuple[int, str, str]:
        code = run(["--project-dir", str(ROOT), "statement", *arguments, "--env", env])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_a_month_is_issued_and_shown(dataops: Run, lake: MonthEnd) -> None:
    """Given a month that is over, when it is issued, then it is shown with where it comes from, and show says the same."""
    code, out, err = dataops("issue", "--month", "2026-10")
    assert code == 0
    where = f"s3://base/statements/month=2026-10/run={lake.run_id(1)}/release=5d9f1c0a7b3e4d21/issued=20261205T060000Z/"
    assert out.splitlines() == [
        "statement of 2026-10, issued 2026-12-05 06:00 UTC by finn",
        f"run {lake.run_id(1)}, release 5d9f1c0a7b3e",
        where,
        "",
        "customer_id  total_refund",
        "-----------  ------------",
        "anna                12.50",
        "b\\u202een            0.10",
        "-----------  ------------",
        "total               12.60",
        "",
        "adjustments of earlier months: +7.00",
        "  2026-08  anna  +7.00",
    ]
    assert err == "2026-10  2026-12-05 06:00 UTC  2 customers, 12.60 in total, adjustments +7.00\n"
    assert dataops("show", "--month", "2026-10")[1] == dataops("show")[1] == out


def test_uat_issues_no_statements(dataops: Run, lake: MonthEnd) -> None:
    """Given an environment with IssueStatements "false", when a month is to be issued by hand, then that is refused."""
    code, _, err = dataops("issue", "--month", "2026-10", env="uat")
    assert (code, err.splitlines()[0]) == (6, "error: environment uat issues no statements")
    assert "IssueStatements in dataops.yml" in err
    assert dataops("list")[1] == ""


def test_people_are_told_of_what_was_issued(
    dataops: Run, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given the function of the month end, when a month is issued by hand, then it is asked to tell; without it, all is well."""
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(session, "lambda", SimpleNamespace(invoke=lambda **call: asked.append(call)), raising=False)
    assert dataops("issue", "--month", "2026-10")[0] == 0 and not asked
    monkeypatch.setitem(OUTPUTS, "StatementFunctionName", "month-end")
    assert dataops("issue", "--month", "2026-11")[0] == 0
    (call,) = asked
    assert (call["FunctionName"], call["InvocationType"], call["Payload"]) == (
        "month-end",
        "Event",
        b'{"issue": false}',
    )


def test_who_may_not_ask_has_issued_all_the_same(
    dataops: Run, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a function that may not be asked, when a month is issued, then it is issued, and a warning says why nobody hears of it."""
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no right to it"}}, "Invoke")

    def refuse(**call: object) -> None:
        raise denied

    monkeypatch.setattr(session, "lambda", SimpleNamespace(invoke=refuse), raising=False)
    monkeypatch.setitem(OUTPUTS, "StatementFunctionName", "month-end")
    code, _, err = dataops("issue", "--month", "2026-10")
    assert code == 0 and "warning: the statement is issued but not announced" in err and "no right to it" in err
    assert dataops("list")[1].startswith("2026-10")


def test_json_has_the_amounts_as_text(dataops: Run) -> None:
    """Given a statement, when it is shown as JSON, then amounts are texts and the fields are those of the page."""
    issued = json.loads(dataops("issue", "--month", "2026-10", "--output", "json")[1])
    shown = json.loads(dataops("show", "--month", "2026-10", "--output", "json")[1])
    assert issued == {**shown, "command": "statement issue"}
    assert (shown["month"], shown["total_refund"], shown["adjustments_total"]) == ("2026-10", "12.60", "7.00")
    assert (shown["customers"], shown["issued_at"], shown["override"]) == (2, "2026-12-05T06:00:00+00:00", "")
    assert shown["refunds"][0] == {"customer_id": "anna", "total_refund": "12.50"}
    assert shown["adjustments"] == [{"month": "2026-08", "customer_id": "anna", "amount": "7.00"}]
    assert [each["verdict"] for each in shown["checks"]] == ["passed"]


def test_the_list_is_newest_first(dataops: Run) -> None:
    """Given no statement and then two, when they are listed, then the next step is named, and then the newest comes first."""
    assert dataops("list")[:2] == (0, "")
    for month in ("2026-10", "2026-11"):
        dataops("issue", "--month", month)
    lines = dataops("list")[1].splitlines()
    assert [line[:7] for line in lines] == ["2026-11", "2026-10"]
    assert lines[1].endswith("2 customers, 12.60 in total, adjustments +7.00")
    listed = json.loads(dataops("list", "--output", "json")[1])["statements"]
    assert [each["number"] for each in listed] == [2, 1]


@pytest.mark.parametrize(
    ("month", "said"), [("2026-10", "was issued on"), ("2026-12", "is not over"), ("2027-01", "is not over")]
)
def test_what_may_not_be_issued_is_refused(dataops: Run, month: str, said: str) -> None:
    """Given an issued month, when it, the current or a later one is issued, then the exit code is 6."""
    dataops("issue", "--month", "2026-10")
    code, out, err = dataops("issue", "--month", month)
    assert (code, out) == (6, "")
    assert said in err


def test_a_failing_check_refuses_unless_it_is_overridden(dataops: Run, lake: MonthEnd) -> None:
    """Given a blocking check with rows, then the exit code is 6 and nothing is written; with a reason it is kept and shown."""
    lake.found = 3
    code, out, err = dataops("issue", "--month", "2026-10", "--output", "json")
    assert code == 6 and "blocking checks fail: twice (3 rows)" in err
    assert json.loads(out)["error"]["exit_code"] == 6
    assert dataops("list")[1] == ""
    assert dataops("issue", "--month", "2026-10", "--override", " ")[0] == 2
    code, out, _ = dataops("issue", "--month", "2026-10", "--override", "INC-7: a test customer")
    assert code == 0 and "issued although checks failed: INC-7: a test customer" in out
    assert dataops("list")[1].endswith("(checks overridden)\n")


def test_a_month_that_is_none_or_has_no_statement(dataops: Run) -> None:
    """Given a month that is not a month, then the exit code is 2; one without a statement, then 1 with what to do."""
    assert dataops("issue", "--month", "2026-13")[0] == 2
    code, _, err = dataops("show", "--month", "2026-10")
    assert code == 1 and "there is no statement of 2026-10: none is issued yet" in err
    assert "hint: dataops statement list --env " in err


def test_changes_are_listed_by_customer_and_refund(dataops: Run, lake: MonthEnd) -> None:
    """Given a refund that a void removed and one that came late, when changes are asked for, then both stand there with why."""
    dataops("issue", "--month", "2026-10")
    assert dataops("changes")[1].splitlines()[1] == f"nothing has changed since, by run {lake.run_id(1)}"
    lake.load({"R1": None, "R3": refund("2026-09", "cara", "5.00")})
    lake.reasons = [
        ("R1", "2026-10", "anna", "voided_purchase", "V2"),
        ("R1", "2026-10", "anna", "voided_purchase", "V1"),
        ("R3", "2026-09", "cara", "counted", None),
    ]
    code, out, _ = dataops("changes", "--month", "2026-10")
    assert code == 0
    assert out.splitlines() == [
        f"statement of 2026-10, issued 2026-12-05 06:00 UTC from run {lake.run_id(1)}",
        f"by run {lake.run_id(2)}: -7.50; later statements carried +0.00, the next one carries -7.50",
        "",
        "customer_id  change",
        "anna         -12.50",
        "cara          +5.00",
        "",
        "month    customer_id  refund_id  change  now",
        "2026-09  cara         R3          +5.00  counted",
        "2026-10  anna         R1         -12.50  voided purchase by V1, V2",
    ]
    document = json.loads(dataops("changes", "--output", "json")[1])
    assert (document["total"], document["carried_total"], document["pending_total"]) == ("-7.50", "0.00", "-7.50")
    assert document["customers"] == [
        {"customer_id": "anna", "amount": "-12.50"},
        {"customer_id": "cara", "amount": "5.00"},
    ]
    assert document["transactions"][1] == {
        "month": "2026-10",
        "customer_id": "anna",
        "refund_id": "R1",
        "amount": "-12.50",
        "reason": "voided_purchase",
        "voids": ["V1", "V2"],
    }
    assert json.loads(dataops("issue", "--month", "2026-11", "--output", "json")[1])["adjustments_total"] == "-7.50"
    document = json.loads(dataops("changes", "--month", "2026-10", "--output", "json")[1])
    assert (document["total"], document["carried_total"], document["pending_total"]) == ("-7.50", "-7.50", "0.00")


def test_a_query_that_fails_is_told_as_an_error(dataops: Run, lake: MonthEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given tables that Athena cannot read, when changes are asked for, then the exit code is 1 with Athena's reason."""
    dataops("issue", "--month", "2026-10")
    lake.load({"R1": None})

    def fail(sql: str) -> Answer:
        raise CheckBroken("query q1 ended FAILED: HIVE_BAD_DATA")

    monkeypatch.setattr(lake, "query", fail)
    code, out, err = dataops("changes")
    assert (code, out) == (1, "") and "athena: query q1 ended FAILED: HIVE_BAD_DATA" in err and "Traceback" not in err
