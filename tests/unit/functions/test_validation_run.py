"""One validation from the facts to the report, and the function around it."""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_aws import FakeAthena as QueryFakes
from fake_aws import FakeS3
from lake_fakes import DirectoryStore
from refunds_alerts.message import State, parse
from refunds_checks.athena import Workgroup
from refunds_checks.facts import Facts, Volume
from refunds_checks.registry import Check, ChecksError, Severity, Source, load_checks
from refunds_checks.statements import COUNT_COLUMN
from refunds_checks.validation import Answer, CheckBroken, CheckVerdict, Query, Report, judge, summary, validate
from template_model import ROOT, SAMPLES, TEMPLATES, one_resource
from validate import handler
from validate.handler import Settings, day_of, message_of, metrics, route_metrics, run, title

DAY = date(2026, 10, 1)
NOW = datetime(2026, 10, 2, 6, tzinfo=UTC)
FACTS = Facts(DAY, months=("2026-10",), published={("purchase", "2026-10"): 1})
SETTINGS = Settings(
    "prod", "validation", "ap-southeast-2", "base-bucket", "base/", "base_db", "reports", {"sftp": 24.0}, None
)


def check(name: str, source: Source = Source.SQL, severity: Severity = Severity.ERROR, threshold: float = 0) -> Check:
    """Build a check whose SQL is its name."""
    sql = f"select '{name}' as name" if source is Source.SQL else None
    return Check(name, f"{name} is right", source, severity, threshold, "rows", False, name, sql)


def answers(**found: int | str) -> Query:
    """Answer the query of each named check with so many rows, or break it with a reason; others have none."""

    def query(sql: str) -> Answer:
        name = next((name for name in found if f"'{name}'" in sql), "")
        rows = found.get(name, 0)
        if isinstance(rows, str):
            raise CheckBroken(rows)
        return Answer(("id", COUNT_COLUMN), [(f"{name}-{number}", str(rows)) for number in range(min(rows, 3))], 7)

    return query


def validated(*checks: Check, query: Query, facts: Facts = FACTS) -> Report:
    """Validate a day."""
    return validate(checks, facts, {}, query, clock=lambda: NOW)


def test_rows_fail_a_check_and_all_are_counted() -> None:
    """Given a query with more rows than it returns, when the check is judged, then it fails with the number of all."""
    result = judge(check("a"), FACTS, {}, answers(a=5000))
    assert (result.verdict, result.rows, result.columns) == (CheckVerdict.FAILED, 5000, ("id",))
    assert result.examples == (("a-0",), ("a-1",), ("a-2",))
    assert result.bytes_scanned == 7
    assert judge(check("a"), FACTS, {}, answers()).verdict is CheckVerdict.PASSED


def test_a_check_that_cannot_run_is_an_error_whatever_its_severity() -> None:
    """Given a warning whose query breaks, when the day is judged, then it is an error: nobody knows; the others are judged."""
    checks = [check("a"), check("b", severity=Severity.WARNING), check("c", severity=Severity.WARNING)]
    report = validated(*checks, query=answers(b="out of time", c=1))
    assert [(each.verdict, each.note) for each in report.results] == [
        (CheckVerdict.PASSED, ""),
        (CheckVerdict.BROKEN, "out of time"),
        (CheckVerdict.FAILED, ""),
    ]
    assert [each.check.name for each in report.errors] == ["b"]
    assert [each.check.name for each in report.failing] == ["b", "c"]


def test_a_check_of_the_manifests_asks_nothing() -> None:
    """Given a check of the manifests, when it is judged, then its rows come from the facts and no query runs."""
    facts = Facts(DAY, volumes={"s3": {DAY: Volume(10, 5)}})
    result = judge(check("rejected_shares", Source.MANIFESTS, threshold=0.05), facts, {}, answers())
    assert (result.verdict, result.rows, result.examples) == (CheckVerdict.FAILED, 1, (("s3", 10, 5, 0.5),))
    skipped = judge(check("stale_routes", Source.MANIFESTS), facts, {}, answers())
    assert (skipped.verdict, skipped.is_failing) == (CheckVerdict.SKIPPED, False)
    assert skipped.note == "no route has an expected cadence in dataops.yml"


def test_a_report_says_everything_and_a_summary_shows_no_data() -> None:
    """Given a failing check, when the day is written down, then the report has its rows and the summary has not."""
    report = validated(check("a"), check("b"), query=answers(a=2))
    document = json.loads(json.dumps(report.document()))
    assert (document["date"], document["errors"], document["failing"]) == ("2026-10-01", ["a"], ["a"])
    assert document["checks"][0] == {
        "name": "a",
        "promise": "a is right",
        "severity": "error",
        "verdict": "failed",
        "rows": 2,
        "threshold": 0,
        "unit": "rows",
        "blocking": False,
        "runbook": "docs/operations.md#a",
        "note": "",
        "columns": ["id"],
        "examples": [["a-0"], ["a-1"]],
        "bytes_scanned": 7,
    }
    told = summary(report)
    assert [each["name"] for each in told["failing"]] == ["a"]
    assert "a-0" not in json.dumps(told)


def test_each_route_has_its_records_and_its_freshness() -> None:
    """Given routes that delivered, then each has a line of metrics: the day's records, and the hours since the last one."""
    facts = Facts(
        DAY,
        volumes={"s3": {DAY: Volume(10, 5)}},
        latest={"s3": NOW.replace(day=1), "sftp": NOW.replace(month=9, day=30)},
    )
    lines = list(route_metrics(facts, SETTINGS, NOW))
    assert [
        (line["Route"], line["records"], line["rejected_records"], line["hours_since_delivery"]) for line in lines
    ] == [
        ("s3", 10, 5, 18.0),
        ("sftp", 0, 0, 42.0),
    ]
    (declared,) = lines[0]["_aws"]["CloudWatchMetrics"]
    assert declared["Dimensions"] == [["Function", "Route"]]
    assert {metric["Name"] for metric in declared["Metrics"]} <= lines[0].keys()


# The table of checks


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "not a table of checks"),
        ('{"checks": [{"name": "a"}]}', "KeyError"),
        ('{"checks": [{"name": "a", "source": "tea leaves"}]}', "tea leaves"),
        ('{"checks": [{"name": "a", "source": "sql"}]}', "a.sql"),
        ('{"checks": [{"name": "a", "source": "manifests", "severity": "error", "colour": "red"}]}', "colour"),
    ],
)
def test_a_wrong_table_is_told(tmp_path: Path, table: str, message: str) -> None:
    """Given a table of checks with a mistake, when it is read, then the error names the file and the mistake."""
    (tmp_path / "checks.json").write_text(table)
    with pytest.raises(ChecksError, match=r"checks\.json.*" + message):
        load_checks(tmp_path)


def test_a_check_stands_once_in_the_table(tmp_path: Path) -> None:
    """Given a check that is listed twice, when the table is read, then that is an error."""
    entry = json.loads((ROOT / "athena/checks/checks.json").read_text())["checks"][0]
    (tmp_path / "checks.json").write_text(json.dumps({"checks": [entry, entry]}))
    with pytest.raises(ChecksError, match="twice"):
        load_checks(tmp_path)


# Athena


class FakeAthena:
    """Queries that go through states; each asking moves one on."""

    class exceptions:
        class InvalidRequestException(Exception):
            pass

    def __init__(self, *states: str, reason: str = "") -> None:
        self.states, self.reason, self.stopped = list(states), reason, []

    def start_query_execution(self, **request: Any) -> dict[str, str]:
        if self.reason == "refused":
            raise self.exceptions.InvalidRequestException("mismatched input")
        self.request = request
        return {"QueryExecutionId": "q1"}

    def get_query_execution(self, **_: Any) -> Any:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        status = {"State": state, **({"StateChangeReason": self.reason} if self.reason else {})}
        return {"QueryExecution": {"Status": status, "Statistics": {"DataScannedInBytes": 11}}}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "get_query_results"
        metadata = {"ColumnInfo": [{"Name": "id", "Type": "varchar"}]}
        pages = [[{"Data": [{"VarCharValue": "id"}]}, {"Data": [{}]}], [{"Data": [{"VarCharValue": "x"}]}]]
        answers = [{"ResultSet": {"ResultSetMetadata": metadata, "Rows": rows}} for rows in pages]
        return SimpleNamespace(paginate=lambda **_: answers)

    def stop_query_execution(self, *, QueryExecutionId: str) -> None:
        self.stopped.append(QueryExecutionId)


def workgroup(athena: FakeAthena, seconds: float = 60) -> Workgroup:
    """A workgroup that has some seconds left."""
    return Workgroup(athena, "reports", "base_db", time.monotonic() + seconds)


def test_a_query_runs_in_the_workgroup_to_its_end() -> None:
    """Given a query that ends, then the rows of all pages come without the header, null as None."""
    athena = FakeAthena("QUEUED", "SUCCEEDED")
    assert workgroup(athena).query("select 1") == Answer(("id",), [(None,), ("x",)], 11)
    assert athena.request == {
        "QueryString": "select 1",
        "QueryExecutionContext": {"Database": "base_db"},
        "WorkGroup": "reports",
    }


@pytest.mark.parametrize(
    ("athena", "seconds", "message"),
    [
        (FakeAthena("FAILED", reason="TABLE_NOT_FOUND"), 60, "query q1 ended FAILED: TABLE_NOT_FOUND"),
        (FakeAthena("CANCELLED"), 60, "query q1 ended CANCELLED: no reason given"),
        (FakeAthena("RUNNING", reason="refused"), 60, "the query was refused: mismatched input"),
        (FakeAthena("RUNNING"), 0.1, "query q1 was stopped because it took too long"),
    ],
)
def test_a_query_that_does_not_end_well_breaks_the_check(athena: FakeAthena, seconds: float, message: str) -> None:
    """Given a query that fails, is refused or takes too long, then the check is broken with the reason; none is left running."""
    with pytest.raises(CheckBroken, match=message):
        workgroup(athena, seconds).query("select 1")
    assert athena.stopped == (["q1"] if seconds < 1 else [])


# The function


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def test_a_run_writes_its_report_and_counts(store: DirectoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a day with a failing check, when the function runs, then report, metrics and message agree."""
    checks = [check("duplicate_ids"), check("orphans", severity=Severity.WARNING), check("b")]
    told = run(DAY, SETTINGS, store, answers(duplicate_ids=2, orphans=9, b="no tables"), checks)
    report = json.loads(store.get("validation/date=2026-10-01/report.json")[0])
    assert report["failing"] == [each["name"] for each in told["failing"]] == ["duplicate_ids", "orphans", "b"]
    assert (told["kind"], told["environment"], told["date"]) == ("validation", "prod", "2026-10-01")
    assert told["report"] == (
        "https://ap-southeast-2.console.aws.amazon.com/s3/object/base-bucket"
        "?region=ap-southeast-2&prefix=validation%2Fdate%3D2026-10-01%2Freport.json"
    )
    line = json.loads(capsys.readouterr().out)
    (declared,) = line["_aws"]["CloudWatchMetrics"]
    values = {metric["Name"]: line[metric["Name"]] for metric in declared["Metrics"]}
    assert values == {
        "duplicate_ids": 2,
        "orphans": 9,
        "failing_errors": 2,  # the one with rows, and the one that could not run: it has no rows to count
        "failing_warnings": 1,
        "unowned_records": 0,
        "validations": 1,
    }
    assert (declared["Namespace"], declared["Dimensions"], line["Function"]) == (
        "RefundsLake",
        [["Function"]],
        "validation",
    )


def test_a_run_of_an_empty_lake_is_sound(store: DirectoryStore) -> None:
    """Given a lake that nothing was loaded into, when the real checks run, then nothing fails but the expected route."""
    told = run(DAY, SETTINGS, store, answers(), load_checks(ROOT / "athena/checks"))
    assert [each["name"] for each in told["failing"]] == ["stale_routes"]
    assert title(told) == "Validation of 2026-10-01: 1 check fails"


@dataclass
class Topic:
    """SNS with what was published."""

    published: list[dict[str, str]] = field(default_factory=list)

    def publish(self, **message: str) -> None:
        self.published.append(message)


@pytest.mark.parametrize(
    ("cadences", "topic_arn", "state"),
    [("sftp=24", "arn", State.PROBLEM), ("", "arn", State.RECOVERED), ("sftp=24", "", None)],
)
def test_the_topic_hears_of_failing_checks_and_of_their_end(
    monkeypatch: pytest.MonkeyPatch, cadences: str, topic_arn: str, state: State | None
) -> None:
    """Given the deployed function, when a check fails, then its topic gets one message; none failing ends an earlier one."""
    topic = Topic()
    clients = {"s3": FakeS3(), "athena": QueryFakes(columns=("id", COUNT_COLUMN)), "sns": topic}
    monkeypatch.setattr(handler, "CHECKS", ROOT / "athena/checks")
    monkeypatch.setattr(handler.boto3, "client", clients.__getitem__)
    variables = one_resource("operations", "Validation").properties["Environment"]["Variables"]
    given = {"ROUTE_CADENCES": cadences, "TOPIC_ARN": topic_arn, "AWS_LAMBDA_FUNCTION_NAME": "v", "AWS_REGION": "r"}
    for name, value in {**variables, **given}.items():
        monkeypatch.setenv(name, value)
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
    told = handler.handle({"date": "2026-10-01"}, context)
    assert [each["name"] for each in told["failing"]] == (["stale_routes"] if cadences else [])
    assert [message["TopicArn"] for message in topic.published] == (["arn"] if state else [])
    for each in topic.published:
        message = parse(json.loads(each["Message"]))
        assert message == message_of(told) and message.state is state
        assert each["Subject"] == message.title


def test_a_message_names_each_failing_check_with_its_runbook() -> None:
    """Given a day with failing checks, then the message has a line for each, and another day or finding is another message."""
    checks = [check("duplicate_ids"), check("orphans", severity=Severity.WARNING), check("b")]

    def told(**found: int | str) -> dict[str, Any]:
        report = validated(*checks, query=answers(**found))
        return {"kind": "validation", "report": "https://console.example", **summary(report)}

    message = message_of(told(duplicate_ids=1, orphans=9000, b="no tables"))
    assert message.title == "Validation of 2026-10-01: 3 checks fail"
    assert message.lines == (
        "duplicate_ids (error): 1 row, see docs/operations.md#duplicate_ids",
        "orphans (warning): 9,000 rows, see docs/operations.md#orphans",
        "b (error): no tables, see docs/operations.md#b",
    )
    assert (message.link, message.anchor) == ("https://console.example", "the-validation-fails")
    assert len({message_of(told(**found)).id for found in ({"b": 1}, {"b": 2}, {}, {"orphans": 1})}) == 4
    assert title(told()) == "Validation of 2026-10-01: all checks pass again"


def test_the_day_is_yesterday_in_utc_or_the_events() -> None:
    """Given the schedule's event or one with a date, then the day is the one before, in UTC, or that date."""
    assert day_of({}, datetime(2026, 10, 2, 0, 0, 1, tzinfo=UTC)) == DAY
    assert day_of({"date": "2026-09-30"}, NOW) == date(2026, 9, 30)


def test_the_alarms_watch_metrics_that_the_function_writes() -> None:
    """Given the alarms on the validation, then namespace, metric and dimension are those of the function's line."""
    line = metrics(validated(check("a"), query=answers()), SETTINGS, unowned_records=0)
    (declared,) = line["_aws"]["CloudWatchMetrics"]
    for name in ("FailingChecks", "MissingValidation"):
        alarm = one_resource("operations", name).properties
        assert alarm["Namespace"] == declared["Namespace"]
        assert alarm["MetricName"] in line
        assert [each["Name"] for each in alarm["Dimensions"]] == declared["Dimensions"][0]
    missing = one_resource("operations", "MissingValidation").properties
    assert missing["TreatMissingData"] == "breaching"
    assert missing["EvaluationPeriods"] * missing["Period"] == 26 * 3600


def test_the_template_gives_the_function_its_settings() -> None:
    """Given the function's variables, then its settings can be read from them and the names that Lambda adds."""
    variables = one_resource("operations", "Validation").properties["Environment"]["Variables"]
    settings = Settings.of(
        {**variables, "ROUTE_CADENCES": "s3=6,sftp=24", "AWS_LAMBDA_FUNCTION_NAME": "v", "AWS_REGION": "eu-west-1"}
    )
    assert settings.cadences == {"s3": 6, "sftp": 24}
    assert (settings.base_bucket, settings.topic_arn) == ("base-bucket", SAMPLES["AlertTopicArn"])
    assert TEMPLATES["operations"].parameters["RouteCadences"].default == ""
    empty = Settings.of({**variables, "AWS_LAMBDA_FUNCTION_NAME": "v", "AWS_REGION": "eu-west-1"})
    assert empty.cadences == {}


def test_the_schedule_retries_keeps_what_failed_and_names_its_zone() -> None:
    """Given the schedule and the function behind it, then both try again and both leave what failed in the queue."""
    schedule = one_resource("operations", "DailyValidation").properties
    queue = schedule["Target"]["DeadLetterConfig"]["Arn"]
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert schedule["ScheduleExpressionTimezone"] == "UTC"
    assert json.loads(schedule["Target"]["Input"]) == {}
    invocations = one_resource("operations", "ValidationInvocations").properties
    assert invocations["MaximumRetryAttempts"] == 2
    assert invocations["DestinationConfig"]["OnFailure"]["Destination"] == queue
