"""Runs that read objects again: replays of rejected records, and months rebuilt from raw."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pyarrow.compute as pc
import pytest
from lakehouse import NOW, Lakehouse, purchase, refund
from refunds_lake.publishing.manifests import RunKind
from refunds_lake.raw import rules
from refunds_lake.tables.table_set import CheckFailed


def test_a_replay_after_a_fix_changes_the_totals_by_what_was_repaired(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that a too strict rule rejected move into the tables; the others stay rejected, nothing is read twice."""
    strict: Mapping[str, rules.Rule] = {**rules.RULES, "strict": lambda record: pc.starts_with(record.texts["id"], "s")}
    with monkeypatch.context() as patched:
        patched.setattr(rules, "RULES", strict)
        lakehouse.deliver("a.json", [purchase("p1"), "", purchase("s1"), purchase("s2", amount="x"), "nope"])
        lakehouse.deliver("b.json", [refund("r1", "s1"), refund("s3", "p1"), refund("s3", "p1")])
        before = lakehouse.run().state
    assert dict(before.counts) == {"read": 7, "kept": 2, "duplicate": 0, "superseded": 0, "rejected": 5}

    outcome = lakehouse.run(RunKind.REPLAY, replay_reason="strict")

    assert dict(outcome.manifest.counts) == {"read": 0, "kept": 2, "duplicate": 1, "superseded": 0, "rejected": -3}
    assert outcome.state.counts["read"] == 7
    assert outcome.state.known == before.known
    assert {row["id"] for row in lakehouse.rows("purchase")} == {"p1", "s1"}
    assert sorted((r["line_number"], *r["reasons"]) for r in lakehouse.rows("rejected")) == [
        (4, "amount_invalid"),
        (5, "not_json"),
    ]
    assert {row["refund_id"]: row["reason"] for row in lakehouse.rows("refund_detail")} == {"r1": None, "s3": None}
    incremental = lakehouse.tables()
    lakehouse.run(RunKind.FULL_REFRESH)
    assert lakehouse.tables() == incremental


def test_months_are_rebuilt_from_raw_and_the_others_stay(lakehouse: Lakehouse) -> None:
    """A month that was damaged comes back from the recorded objects; a new object waits for the next ordinary run."""
    lakehouse.deliver("a.json", [purchase("p1"), refund("r1", "p1"), purchase("p2", timestamp="2026-08-01T00:00:00Z")])
    lakehouse.run()
    good, untouched = lakehouse.tables(), lakehouse.catalog.months("purchase")["2026-08"]
    lakehouse.deliver("late.json", [purchase("p3")], at=NOW + timedelta(seconds=5))
    damaged = lakehouse.catalog.months("purchase")["2026-09"].removeprefix("file:")
    for file in lakehouse.base.listing(damaged.removeprefix(f"{lakehouse.base.root}/")):
        lakehouse.base.delete([file.key])
    assert lakehouse.tables() != good

    outcome = lakehouse.run(RunKind.BACKFILL, months=("2026-09", "2026-10"))

    assert lakehouse.tables() == good
    assert set(outcome.manifest.counts.values()) == {0}
    assert lakehouse.catalog.months("purchase")["2026-08"] == untouched
    assert lakehouse.run().manifest.counts["kept"] == 1


@pytest.mark.parametrize("is_there_again", [False, True])
def test_a_rebuild_needs_every_object_that_is_in_the_tables(lakehouse: Lakehouse, is_there_again: bool) -> None:
    """Given that one was deleted since, then nothing is published, although its key may have another object: versions may have
    lain in it. A full refresh names it.
    """
    key = lakehouse.deliver("a.json", [purchase("p1")])
    lakehouse.deliver("b.json", [purchase("p2")])
    lakehouse.run()
    lakehouse.raw.delete([key])
    if is_there_again:
        lakehouse.deliver("a.json", [purchase("p3")])
    before = dict(lakehouse.catalog.tables["purchase"])
    with pytest.raises(CheckFailed, match=f"1 raw objects .* have been deleted; the first is {key}"):
        lakehouse.run(RunKind.BACKFILL, months=("2026-09", "2026-10"))
    assert lakehouse.catalog.tables["purchase"] == before
    assert [problem.key for problem in lakehouse.run(RunKind.FULL_REFRESH).problems] == [key]
    assert [row["id"] for row in lakehouse.rows("purchase")] == ["p2", "p3"][: 1 + is_there_again]


def test_a_replay_leaves_the_lines_of_objects_that_are_gone(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given two objects with rejected lines, one of them gone, when they are replayed, then the other's alone are repaired."""
    strict: Mapping[str, rules.Rule] = {**rules.RULES, "strict": lambda record: pc.starts_with(record.texts["id"], "s")}
    gone = lakehouse.deliver("gone.json", [purchase("s1")])
    lakehouse.deliver("there.json", [purchase("s2"), purchase("s3", timestamp="2026-08-01T00:00:00Z")])
    with monkeypatch.context() as patched:
        patched.setattr(rules, "RULES", strict)
        lakehouse.run()
    lakehouse.raw.delete([gone])
    outcome = lakehouse.run(RunKind.REPLAY)
    assert [problem.key for problem in outcome.problems] == [gone]
    assert [row["source_file"] for row in lakehouse.rows("rejected")] == [gone]
    assert [row["id"] for row in lakehouse.rows("purchase")] == ["s2", "s3"]
    assert dict(outcome.manifest.counts) == {"read": 0, "kept": 2, "duplicate": 0, "superseded": 0, "rejected": -2}


def test_a_replay_of_nothing_publishes_nothing(lakehouse: Lakehouse) -> None:
    """Given no rejected record, when they are replayed, then there is no run to record."""
    lakehouse.deliver("a.json", [purchase("p1")])
    lakehouse.run()
    assert lakehouse.run(RunKind.REPLAY).manifest is None


def test_a_refresh_from_another_prefix_misses_nothing(lakehouse: Lakehouse) -> None:
    """Smoke tests refresh the side tables from a prefix of their own each time: what the last one read is not gone."""
    for route in ("first", "second"):
        lakehouse.deliver("a.json", [purchase("p1"), refund("r1", "p1")], route=route)
        outcome = lakehouse.run(RunKind.FULL_REFRESH, raw_prefix=f"transactions/source={route}/")
        assert outcome.problems == ()
        assert dict(outcome.manifest.counts)["kept"] == 2


def test_in_one_object_the_later_line_wins_however_it_came_to_be_read(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given corrections behind what they correct, a rejected line that was corrected, and a key overwritten within a second,
    then runs, a replay and a full refresh agree that the later line or delivery stands.
    """
    strict = {**rules.RULES, "strict": lambda record: pc.equal(record.texts["customer_id"], "rejected")}
    lines = [
        purchase("p1", amount="9"),
        purchase("p1", amount="1"),
        purchase("p2", customer_id="rejected"),
        purchase("p2"),
    ]
    lakehouse.deliver("a.json", lines)
    lakehouse.deliver("b.json", [purchase("p3", amount="9")])
    with monkeypatch.context() as patched:
        patched.setattr(rules, "RULES", strict)
        counts = lakehouse.run().manifest.counts
    assert dict(counts) == {"read": 5, "kept": 3, "duplicate": 0, "superseded": 1, "rejected": 1}
    counts = lakehouse.run(RunKind.REPLAY).manifest.counts
    assert dict(counts) == {"read": 0, "kept": 0, "duplicate": 0, "superseded": 1, "rejected": -1}
    lakehouse.deliver("b.json", [purchase("p3", amount="1")])
    counts = lakehouse.run().manifest.counts
    assert dict(counts) == {"read": 1, "kept": 0, "duplicate": 0, "superseded": 1, "rejected": 0}
    found = lakehouse.tables()
    stands = {row["id"]: (str(row["amount"]), row["customer_id"]) for row in lakehouse.rows("purchase")}
    assert stands == {"p1": ("1.00", "c1"), "p2": ("100.00", "c1"), "p3": ("1.00", "c1")}
    lakehouse.run(RunKind.FULL_REFRESH)
    assert lakehouse.tables() == found


def tools_file(
    lakehouse: Lakehouse,
    seconds: int,
    content: bytes | list[Any],
    name: str = "1_1790000000000.json",
    *,
    route: str = "third-party",
) -> str:
    """Write a tool's file, so many seconds behind the first time."""
    key = lakehouse.deliver(name, content, at=NOW, route=route)
    moment = (NOW + timedelta(seconds=seconds)).timestamp()
    os.utime(lakehouse.raw.root / key, (moment, moment))
    return key


def test_what_a_tool_writes_over_counts_however_often_it_does(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a tool's file that is written twice more between two runs, then each version's records count, as a later version of
    their ids or as their own; runs, a rebuild, a replay and a full refresh agree about it.
    """
    strict = {**rules.RULES, "strict": lambda record: pc.starts_with(record.texts["id"], "s")}
    tools_file(lakehouse, 0, [purchase("p1", amount="1"), purchase("s1")])
    with monkeypatch.context() as patched:
        patched.setattr(rules, "RULES", strict)
        assert dict(lakehouse.run().manifest.counts)["rejected"] == 1
        tools_file(lakehouse, 1, [purchase("p1", amount="2"), purchase("s2"), refund("r1", "p1")])
        key = tools_file(lakehouse, 2, [purchase("p1", amount="3"), purchase("p4")])
        counts = lakehouse.run().manifest.counts
    assert dict(counts) == {"read": 5, "kept": 2, "duplicate": 0, "superseded": 2, "rejected": 1}
    assert lakehouse.run().manifest is None
    assert {row["id"]: row["amount"] for row in lakehouse.rows("purchase")} == {"p1": 3, "p4": 100}
    assert [row["refund_id"] for row in lakehouse.rows("refund_detail")] == ["r1"]

    counts = lakehouse.run(RunKind.REPLAY, replay_reason="strict").manifest.counts

    assert dict(counts) == {"read": 0, "kept": 2, "duplicate": 0, "superseded": 0, "rejected": -2}
    found = lakehouse.tables()
    assert {row["id"]: row["amount"] for row in found["purchase"]} == {"p1": 3, "p4": 100, "s1": 100, "s2": 100}
    assert found["rejected"] == []
    lakehouse.run(RunKind.BACKFILL, months=("2026-09", "2026-10"))
    assert lakehouse.tables() == found
    counts = lakehouse.run(RunKind.FULL_REFRESH).manifest.counts
    assert dict(counts) == {"read": 7, "kept": 5, "duplicate": 0, "superseded": 2, "rejected": 0}
    assert lakehouse.tables() == found
    lakehouse.raw.delete([key])
    lakehouse.deliver("other.json", [purchase("p9")])
    assert [problem.key for problem in lakehouse.run(RunKind.FULL_REFRESH).problems] == [key]
    assert [row["id"] for row in lakehouse.rows("purchase")] == ["p9"]


@pytest.mark.parametrize(
    ("route", "seconds", "is_run_between"), [("sftp/acme", 1, True), ("sftp/acme", 0, False), ("stream", 1, False)]
)
def test_each_version_of_an_overwritten_file_counts(
    lakehouse: Lakehouse, route: str, seconds: int, is_run_between: bool
) -> None:
    """Given a file that is overwritten, within a second too, with other ids and corrected ones, then the tables have what every
    version has, whether or not a run came in between; a rebuild and a full refresh say the same, and miss nothing.
    """
    for number, content in enumerate(
        ([purchase("p1"), purchase("p2", amount="9")], [purchase("p3"), purchase("p2", amount="2")], [purchase("p4")])
    ):
        tools_file(lakehouse, number * seconds, content, route=route)
        if is_run_between:
            lakehouse.run()
    counts = lakehouse.run().state.counts
    assert counts == {"read": 5, "kept": 4, "duplicate": 0, "superseded": 1, "rejected": 0}
    found = lakehouse.tables()
    assert {row["id"]: row["amount"] for row in found["purchase"]} == {"p1": 100, "p2": 2, "p3": 100, "p4": 100}
    lakehouse.run(RunKind.BACKFILL, months=("2026-09", "2026-09"))
    assert lakehouse.tables() == found
    outcome = lakehouse.run(RunKind.FULL_REFRESH)
    assert outcome.problems == () and lakehouse.tables() == found


def test_lines_of_what_was_overwritten_within_a_second_wait_for_a_full_refresh(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given rejected lines of two versions with the same key and time, then a replay says that it cannot tell them apart, and a
    full refresh validates them again.
    """
    strict: Mapping[str, rules.Rule] = {**rules.RULES, "strict": lambda record: pc.starts_with(record.texts["id"], "s")}
    with monkeypatch.context() as patched:
        patched.setattr(rules, "RULES", strict)
        tools_file(lakehouse, 0, [purchase("p1"), purchase("s1")])
        key = tools_file(lakehouse, 0, [purchase("p2"), purchase("p3")])
        lakehouse.run()
    outcome = lakehouse.run(RunKind.REPLAY)
    assert outcome.manifest is None and [problem.key for problem in outcome.problems] == [key]
    counts = lakehouse.run(RunKind.FULL_REFRESH).manifest.counts
    assert dict(counts) == {"read": 4, "kept": 4, "duplicate": 0, "superseded": 0, "rejected": 0}


def test_what_cannot_be_read_of_a_file_is_no_problem_once_it_was_replaced(lakehouse: Lakehouse) -> None:
    """Given a tool that has replaced an empty and a half file, then neither is a problem, and the half one is left out once."""
    for seconds, content in enumerate((b"", b"\x1f\x8b half a gzip", [purchase("p1")])):
        key = tools_file(lakehouse, seconds, content, "1_1790000000000.json.gz")
    outcome = lakehouse.run()
    assert outcome.problems == () and dict(outcome.manifest.counts)["kept"] == 1
    assert [line for line in lakehouse.said if "previous version" in line] == [
        f"a previous version of {key} is left out for good: the gzip file is corrupt"
    ]
    assert lakehouse.run().manifest is None
    assert lakehouse.run(RunKind.BACKFILL, months=("2026-09", "2026-10")).manifest is not None
