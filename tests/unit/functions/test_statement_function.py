"""The month end's function: which months it issues, whom it tells what, and its template."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from fake_aws import FakeS3
from month_end import CHECKS, MemoryStore, MonthEnd, refund
from refunds_alerts.message import Message, State, parse
from refunds_statements.register import read_statements
from refunds_statements.snapshot import Unsettled
from statement import handler
from statement.handler import ISSUED_BY, Settings, deployed_release, run
from template_model import ROOT, one_resource

from deployer.ledger.ledger import Current, Ledger
from deployer.project.config import load_project

SETTINGS = Settings("prod", "eu-west-1", "base-bucket", "base/", "artifacts-bucket", "base_db", "reports", "topic")


@pytest.fixture
def lake() -> MonthEnd:
    lake = MonthEnd(now=datetime(2026, 11, 3, 8, tzinfo=UTC))
    lake.load({"R0": refund("2026-09", "anna", "7.00"), "R1": refund("2026-10", "ben", "1234.50")})
    return lake


def morning(lake: MonthEnd) -> tuple[dict[str, Any], list[Message]]:
    """Let the schedule start the function: its answer, and what it told."""
    told: list[Message] = []
    answer = run(lake.source, SETTINGS, "release-1", CHECKS, told.append, clock=lambda: lake.now)
    return answer, told


def test_the_month_before_is_issued_and_told(lake: MonthEnd) -> None:
    """Given a month that is over, when the schedule comes, then its statement is issued and told, with its page."""
    answer, (told, ended) = morning(lake)
    assert answer == {"issued": ["2026-10"], "refused": ""}
    (statement,) = read_statements(lake.store)
    assert (statement.issued_by, statement.release) == (ISSUED_BY, "release-1")
    assert (told.title, told.state, told.anchor) == ("Statement of 2026-10", State.NEWS, "month-end")
    assert told.lines == ("1 customer, 1,234.50 in total", "adjustments of earlier months: +7.00")
    assert told.link is not None and told.link.endswith("statement.html") and "base-bucket" in told.link
    assert ended.state is State.RECOVERED
    assert parse(json.loads(told.text())) == told


def test_the_change_to_the_month_before_is_told(lake: MonthEnd) -> None:
    """Given two statements, when the second is told, then the line has the change of the total."""
    morning(lake)
    lake.load({"R2": refund("2026-11", "anna", "4.50")})
    lake.now = datetime(2026, 12, 3, 8, tzinfo=UTC)
    answer, told = morning(lake)
    assert answer["issued"] == ["2026-11"]
    assert told[0].lines[0] == "1 customer, 4.50 in total, -1,230.00 against 2026-10"


def test_what_was_issued_by_hand_is_told_and_nothing_else_is_issued(lake: MonthEnd) -> None:
    """Given a month issued by hand while another one is due, when the function is asked to tell, then it tells, and issues nothing."""
    lake.issue("2026-09")
    told: list[Message] = []
    answer = run(lake.source, SETTINGS, "release-1", CHECKS, told.append, clock=lambda: lake.now, issues=False)
    assert answer == {"issued": [], "refused": ""}
    assert [each.title for each in told] == ["Statement of 2026-09", "Statements are issued again"]
    assert [each.month for each in read_statements(lake.store)] == ["2026-09"]


def test_months_that_were_missed_are_issued_in_order(lake: MonthEnd) -> None:
    """Given a schedule that was off for two months, when it comes, then all months that are over are issued, and no other."""
    morning(lake)
    lake.now = datetime(2027, 1, 3, 8, tzinfo=UTC)
    answer, told = morning(lake)
    assert answer["issued"] == ["2026-11", "2026-12"]
    assert [each.title for each in told[:2]] == ["Statement of 2026-11", "Statement of 2026-12"]


def test_the_next_morning_issues_nothing_and_tells_the_same(lake: MonthEnd) -> None:
    """Given an issued month, when the schedule comes again, then nothing is issued; the message has the id of the one before."""
    _, (first, _) = morning(lake)
    lake.now += timedelta(days=1)
    answer, (second, _) = morning(lake)
    assert (answer["issued"], second.id) == ([], first.id)
    lake.now += timedelta(days=20)
    assert [each.state for each in morning(lake)[1]] == [State.RECOVERED]


def test_a_refused_statement_is_an_alert_of_each_day(lake: MonthEnd) -> None:
    """Given a blocking check with rows, when the schedule comes, then it is a problem, a day later again; issued, it is over."""
    lake.found = 2
    answer, (problem,) = morning(lake)
    assert answer == {"issued": [], "refused": "blocking checks fail: twice (2 rows)"}
    assert (problem.state, problem.title) == (State.PROBLEM, "The statement of 2026-10 is refused")
    assert problem.lines == ("blocking checks fail: twice (2 rows)",)
    assert morning(lake)[1][0].id == problem.id
    lake.now += timedelta(days=1)
    assert morning(lake)[1][0].id != problem.id
    lake.issue("2026-10", "INC-7: harmless")
    told, ended = morning(lake)[1]
    assert told.lines[-1] == "issued although checks failed: INC-7: harmless"
    assert (ended.state, ended.subject) == (State.RECOVERED, problem.subject)


def test_tables_that_do_not_settle_are_left_to_the_retry(lake: MonthEnd) -> None:
    """Given a catalog that lags behind, when the schedule comes, then the function fails, so that Lambda tries it again."""
    lake.catalog = {}
    with pytest.raises(Unsettled):
        morning(lake)


def test_an_empty_lake_is_nobodys_problem() -> None:
    """Given a lake without a run, when the schedule comes, then nothing is issued and nobody is told."""
    answer, told = morning(MonthEnd())
    assert (answer, told) == ({"issued": [], "refused": "no run has loaded anything yet"}, [])


class Artifacts:
    """The artifacts bucket, as the ledger writes it and the function reads it."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def create(self, key: str, body: bytes) -> str:
        return self.store.put(key, body)


def test_the_release_is_the_ledgers() -> None:
    """Given the ledger of a deployment, when the function asks for the release, then it is the one that is deployed."""
    artifacts = Artifacts()
    Ledger(artifacts, "prod").set_current(Current("5d9f1c0a7b3e", "run", "2026-11-01"))  # type: ignore[arg-type]
    assert deployed_release(artifacts.store, "prod") == "5d9f1c0a7b3e"


def test_the_template_gives_the_function_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the template's variables, when the function is invoked in an empty lake, then it asks the buckets that they name."""
    variables = one_resource("month_end", "IssueStatement").properties["Environment"]["Variables"]
    s3 = FakeS3()
    ledger = json.dumps({"release": "r"}).encode()
    s3.objects["artifacts-bucket", f"ledger/{variables['ENVIRONMENT']}/current.json"] = ledger
    monkeypatch.setattr(handler.boto3, "client", lambda name: s3 if name == "s3" else SimpleNamespace())
    monkeypatch.setattr(handler, "CHECKS", ROOT / "athena/checks")
    for name, value in {**variables, "AWS_REGION": "eu-west-1"}.items():
        monkeypatch.setenv(name, value)
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
    assert handler.handle({}, context)["refused"] == "no run has loaded anything yet"


def test_the_schedule_begins_on_its_day_retries_and_can_be_off() -> None:
    """Given the schedule and the function behind it, then both try again and both leave what failed in the queue."""
    schedule = one_resource("month_end", "MonthEnd").properties
    queue = schedule["Target"]["DeadLetterConfig"]["Arn"]
    assert schedule["ScheduleExpression"] == "cron(0 8 3-28 * ? *)"
    assert (schedule["ScheduleExpressionTimezone"], schedule["State"]) == ("UTC", "ENABLED")
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert json.loads(schedule["Target"]["Input"]) == {}
    invocations = one_resource("month_end", "StatementInvocations").properties
    assert invocations["MaximumRetryAttempts"] == 2
    assert invocations["DestinationConfig"]["OnFailure"]["Destination"] == queue
    assert load_project(ROOT, {}).environments["uat"].parameters["IssueStatements"] == "false"
    assert "IssueStatements" not in load_project(ROOT, {}).environments["prod"].parameters


def test_the_message_fits_slack(lake: MonthEnd) -> None:
    """Given amounts of the greatest size, when a statement is told, then its title is one that Slack takes."""
    lake.load({"R3": refund("2026-10", "anna", str(Decimal("9999999999999999.99")))})
    assert len(morning(lake)[1][0].title) < 150
