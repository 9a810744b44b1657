"""The job deletes what was live long ago, never what is live, and a run that has published does not fail for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from lake_fakes import DirectoryStore
from lakehouse import NOW, Lakehouse, purchase, refund


class Undeletable(DirectoryStore):
    """A bucket that gives no file of a month away."""

    def delete(self, keys: Iterable[str]) -> None:
        names = list(keys)
        if any("/month=" in name and "/_staging/" not in name for name in names):
            raise OSError(f"could not delete {names[0]}: AccessDenied")
        super().delete(names)


def files(lakehouse: Lakehouse, prefix: str) -> list[str]:
    return [each.key for each in lakehouse.base.listing(f"base/{prefix}")]


def test_superseded_months_are_swept_at_the_end_of_a_run(lakehouse: Lakehouse) -> None:
    """Given months that a second run has replaced, when their retention is over, then the next run deletes them for good."""
    lakehouse.deliver("a.json", [purchase("p1"), refund("r1", "p1"), "?"])
    lakehouse.run()
    superseded = files(lakehouse, "purchase/") + files(lakehouse, "_ids/purchase/")
    lakehouse.deliver("b.json", [purchase("p2")], at=NOW + timedelta(seconds=9))
    assert lakehouse.run().swept == 0
    good, live = lakehouse.tables(), [key for key in files(lakehouse, "") if key not in superseded]

    lakehouse.now = max(lakehouse.now, datetime.now(UTC)) + timedelta(days=31)
    base = lakehouse.base
    lakehouse.base = Undeletable(base.root)
    lakehouse.deliver("c.json", [purchase("p9", timestamp="2026-08-01T00:00:00Z")], at=NOW + timedelta(seconds=18))
    outcome = lakehouse.run()
    assert outcome.manifest is not None and outcome.swept == 0
    assert outcome.sweep_failure == f"OSError: could not delete {superseded[1]}: AccessDenied"
    assert set(superseded) <= set(files(lakehouse, ""))

    lakehouse.base = base
    outcome = lakehouse.run(retention=timedelta(days=30))
    assert (outcome.manifest, outcome.swept, outcome.sweep_failure) == (None, len(superseded), None)
    assert not set(superseded) & set(files(lakehouse, ""))
    assert set(live) <= set(files(lakehouse, ""))
    assert sorted(row["id"] for row in lakehouse.rows("purchase")) == ["p1", "p2", "p9"]
    assert lakehouse.tables()["refund"] == good["refund"]


def test_a_run_says_how_far_it_is(lakehouse: Lakehouse) -> None:
    """Given some objects, when a run reads and publishes them, then it says so, with what is done of what is to do."""
    for name in ("a.json", "b.json", "c.json"):
        lakehouse.deliver(name, [purchase(name)])
    lakehouse.deliver("d.xyz", "")
    lakehouse.run()
    assert [said for said in lakehouse.said if "of 3" not in said or said.startswith("read 3")] == [
        "3 objects to read, 1 cannot be read",
        "read 3 of 3 objects",
        "writing purchase (1 months)",
        "checking what was written",
        "publishing 1 months",
    ]


@pytest.mark.parametrize("holder", ["jr_dead", "dataops-ann"])
def test_a_run_waits_for_nobody_who_is_dead(lakehouse: Lakehouse, holder: str) -> None:
    """Given the lock of a job run that is over, or of a person's command of long ago, then the next run goes on at once."""
    lakehouse.base.put(
        "base/_runs/_lock.json", b'{"holder": "%s", "expires_at": "2026-11-20T12:00:30.000000Z"}' % holder.encode()
    )
    lakehouse.deliver("a.json", [purchase("p1")])
    assert lakehouse.run().manifest is not None
