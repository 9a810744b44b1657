"""Runs that read objects again: replays of rejected records, and months rebuilt from raw."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pyarrow.compute as pc
import pytest
from lakehouse import NOW, Lakehouse, purchase, refund
from refunds_lake import again, batch, rules


def test_a_replay_after_a_fix_changes_the_totals_by_what_was_repaired(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that a too strict rule rejected move into the tables; the others stay rejected, nothing is read twice."""
    strict: Mapping[str, rules.Rule] = {**rules.RULES, "strict": lambda record: pc.starts_with(record.ids["id"], "s")}
    with monkeypatch.context() as patched:
        patched.setattr(rules, "RULES", strict)
        lakehouse.deliver("a.json", [purchase("p1"), "", purchase("s1"), purchase("s2", amount="x"), "nope"])
        lakehouse.deliver("b.json", [refund("r1", "s1"), refund("s3", "p1"), refund("s3", "p1")])
        before = lakehouse.run().state
    assert dict(before.counts) == {"read": 7, "kept": 2, "duplicate": 0, "superseded": 0, "rejected": 5}

    outcome = lakehouse.run(replay=True, replay_reason="strict")

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
    lakehouse.run(full_refresh=True)
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

    outcome = lakehouse.run(months=("2026-09", "2026-10"))

    assert lakehouse.tables() == good
    assert set(outcome.manifest.counts.values()) == {0}
    assert lakehouse.catalog.months("purchase")["2026-08"] == untouched
    assert lakehouse.run().manifest.counts["kept"] == 1


class Broken(Exception):
    """What kills a run in a test."""


def test_a_rebuild_that_broke_off_resumes_from_what_it_had_read(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a rebuild that died while writing, when it is started again, then no object is parsed again, and it ends well."""
    lakehouse.deliver("a.json", [purchase("p1"), refund("r1", "p1"), "", "nope"])
    lakehouse.run()
    good = lakehouse.tables()

    def breaks(*_: Any, **__: Any) -> None:
        raise Broken

    with monkeypatch.context() as patched:
        patched.setattr(again, "write", breaks)
        with pytest.raises(Broken):
            lakehouse.run(months=("2026-09", "2026-10"))
    lakehouse.now += timedelta(minutes=10)  # the lock has expired
    with monkeypatch.context() as patched:
        patched.setattr(batch, "read_batch", breaks)
        lakehouse.run(months=("2026-09", "2026-10"))
    assert "resumed a rebuild that broke off: 1 objects had been read" in lakehouse.said
    assert lakehouse.tables() == good
    assert list(lakehouse.base.listing("base/_staging/")) == []


@pytest.mark.parametrize("what", ["swept in part", "another zone", "another delivery"])
def test_a_rebuild_resumes_from_nothing_else(lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Given that what was read is not all there, or not what would be read now, then everything is read again."""
    lakehouse.deliver("a.json", [purchase("p1"), refund("r1", "p1")])
    lakehouse.run()
    with monkeypatch.context() as patched:
        patched.setattr(again, "write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            lakehouse.run(months=("2026-09", "2026-10"))
    lakehouse.now += timedelta(minutes=10)
    zone = "UTC"
    if what == "swept in part":
        staged = [each.key for each in lakehouse.base.listing("base/_staging/") if "/records/" in each.key]
        lakehouse.base.delete(staged[:1])
    elif what == "another zone":
        zone = "Asia/Tokyo"
        lakehouse.run(full_refresh=True, reporting_time_zone=zone)
    else:
        lakehouse.deliver("b.json", [purchase("p2")], at=NOW + timedelta(seconds=5))
        lakehouse.run()
    good = lakehouse.tables()
    lakehouse.run(months=("2026-09", "2026-10"), reporting_time_zone=zone)
    assert not [text for text in lakehouse.said if text.startswith("resumed")]
    assert lakehouse.tables() == good


def test_a_refresh_from_another_prefix_misses_nothing(lakehouse: Lakehouse) -> None:
    """Smoke tests refresh the side tables from a prefix of their own each time: what the last one read is not gone."""
    for route in ("first", "second"):
        lakehouse.deliver("a.json", [purchase("p1"), refund("r1", "p1")], route=route)
        outcome = lakehouse.run(full_refresh=True, raw_prefix=f"transactions/source={route}/")
        assert outcome.problems == ()
        assert dict(outcome.manifest.counts)["kept"] == 2
