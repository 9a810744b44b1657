"""Run ids of the deployer: the history and `rollback` go by their order."""

from __future__ import annotations

import datetime as dt

from deployer.ledger.identity import new_run_id

NOON = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)


def test_runs_of_one_second_sort_by_time() -> None:
    """Given runs that begin within one second, when their ids are sorted, then the order is that of their beginnings."""
    ids = [new_run_id(NOON + dt.timedelta(microseconds=step)) for step in range(0, 1_000_000, 10_000)]
    assert sorted(ids) == ids


def test_runs_of_one_moment_have_ids_of_their_own() -> None:
    """Given runs that begin at the same moment, then no two have the same id."""
    assert len({new_run_id(NOON) for _ in range(100)}) == 100
