"""Rejected records: what is asked for, how one is shown, and what repairs it. Since when is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fake_aws import FakeAthena, FakeSession
from refunds_lake.schema.months import Months
from sql_harness import Lake as Tables

from deployer import pauses
from deployer.errors import UsageError
from deployer.lake.rejected_records import (
    SHOWN_LETTERS,
    RejectedRecord,
    fetch_rejected,
    next_steps,
    record_lines,
)
from deployer.lake.since import moment_since

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RECORD = RejectedRecord("{}", ("id_missing",), "transactions/a.jsonl", 7, "20261120T000000Z-1", NOW)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", datetime(2026, 11, 20, 11, 30, tzinfo=UTC)),
        ("1h", datetime(2026, 11, 20, 11, tzinfo=UTC)),
        ("2d", datetime(2026, 11, 18, 12, tzinfo=UTC)),
        ("1w", datetime(2026, 11, 13, 12, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T04:30", datetime(2026, 11, 1, 4, 30, tzinfo=UTC)),
    ],
)
def test_since_is_a_length_or_a_day(text: str, moment: datetime) -> None:
    """Given a length of time or a day, when it is read, then it is a moment in UTC."""
    assert moment_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1y", "2026-13-01", "2026-11-21", "999999w", "yesterday"])
def test_since_what_is_no_moment(text: str) -> None:
    """Given something that is no moment, or one to come, when it is read, then it is a usage error that shows how."""
    with pytest.raises(UsageError) as caught:
        moment_since(text, NOW)
    assert caught.value.hint is not None and "7d" in caught.value.hint


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(pauses.time, "sleep", lambda seconds: None)
    return FakeSession(athena=FakeAthena())


def test_the_month_of_arrival_keeps_earlier_months_unread(session: Any) -> None:
    """Given a reason and a moment, when records are fetched, then the query names both, and the partitions from a month before."""
    fetch_rejected(session.lake, reason="id_missing", since=NOW, limit=5)
    sql = session.athena.started[0]["QueryString"]
    assert "contains(rejected.reasons, 'id_missing')" in sql and "rejected.month >= '2026-10'" in sql
    assert "ingested_at >= timestamp '2026-11-20 12:00:00'" in sql and sql.endswith("limit 5")


@pytest.mark.parametrize("zone", ["Pacific/Pago_Pago", "UTC", "Pacific/Kiritimati"])
def test_since_is_a_moment_in_every_time_zone(session: Any, zone: str) -> None:
    """Given records about a month's beginning, when those since then are fetched, then the zone of the partitions does not matter."""
    begin, tables = datetime(2026, 11, 1, tzinfo=UTC), Tables()
    for text, hours in (("too early", -1), ("at once", 0), ("later", 9)):
        arrival = begin + timedelta(hours=hours)
        month = Months.of(zone).month(arrival)
        tables.insert("rejected", [(text, ["not_json"], "f", 1, "run", arrival.replace(tzinfo=None), month)])
    fetch_rejected(session.lake, reason=None, since=begin, limit=5)
    found = tables.query(session.athena.started[0]["QueryString"])
    assert [row[0] for row in found] == ["later", "at once"]


def test_a_record_is_shown_without_control_characters() -> None:
    """Given a record with an escape sequence in its text, when it is shown, then place, reasons and the escaped text are."""
    record = RejectedRecord("a\x1b[31m", ("not_json", "x"), "transactions/a.jsonl", 7, "run", NOW)
    assert record_lines(record) == [
        "transactions/a.jsonl line 7: not_json, x",
        "  arrived 2026-11-20 12:00:00 UTC, rejected by run run",
        "  a\\x1b[31m",
    ]


def test_a_long_record_is_cut() -> None:
    """Given a record of many letters, when it is shown, then its beginning is, and how much is missing."""
    record = RejectedRecord("a" * (SHOWN_LETTERS + 5), (), "f", None, "run", NOW)
    assert record_lines(record)[-1] == f"  {'a' * SHOWN_LETTERS} (and 5 letters more)"


def test_the_next_step_replays_what_was_asked_for() -> None:
    """Given rejected records of a reason, when the next step is said, then it is the replay of that reason."""
    assert "dataops replay --env uat --reason id_missing" in next_steps("uat", "id_missing", [RECORD])[-1]
    assert next_steps("uat", None, [RECORD])[-1].endswith("dataops replay --env uat")
    assert next_steps("uat", None, []) == []
    assert "did you mean 'id_missing'?" in next_steps("uat", "id_mising", [])[0]
