"""The tables are a function of the raw objects alone: any split into runs, any order, and a full refresh agree."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

import oracle
import pytest
from deliveries import raw_objects
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from lakehouse import Lakehouse, normal
from nightly import examples
from refunds_lake.publishing.manifests import RunKind
from refunds_lake.schema.columns import KINDS


def put(lakehouse: Lakehouse, raws: list[oracle.Raw]) -> None:
    for raw in raws:
        lakehouse.raw.put(raw.key, raw.body)
        os.utime(lakehouse.raw.root / raw.key, (raw.modified.timestamp(), raw.modified.timestamp()))


def check_counts(lakehouse: Lakehouse, outcome: Any) -> None:
    """Every run adds up, and so do all together: what was read is in a table or counted as a copy or an older version."""
    for counts in (outcome.manifest.counts, outcome.state.counts):
        assert counts["read"] == sum(counts[name] for name in ("kept", "duplicate", "superseded", "rejected"))
    assert outcome.state.counts["kept"] == sum(len(lakehouse.rows(kind)) for kind in KINDS)
    assert outcome.state.counts["rejected"] == len(lakehouse.rows("rejected"))


@pytest.mark.parametrize("zone", ["UTC", "Australia/Sydney"])
def test_splits_orders_and_full_refresh_agree_with_the_oracle(spark: Any, tmp_path: Path, zone: str) -> None:
    """Thirty random objects in two or three runs in random order give what the oracle says, and so does a full refresh.

    The full refresh comes after one object was deleted: it names that object and is a function of the others.
    """

    @seed(20261120 if zone == "UTC" else 7)
    @settings(max_examples=examples(1), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 1 << 32))
    def check(number: int) -> None:
        random = Random(number)
        lakehouse = Lakehouse(spark, tmp_path / str(number))
        raws = raw_objects(random, 30)
        expected = normal(oracle.lake(raws, zone))
        shuffled = random.sample(raws, len(raws))
        first = 12 if zone == "UTC" else 15
        for part in filter(None, (shuffled[:first], shuffled[first : 2 * first], shuffled[2 * first :])):
            put(lakehouse, part)
            outcome = lakehouse.run(reporting_time_zone=zone)
            check_counts(lakehouse, outcome)
            assert not outcome.problems
        assert normal(lakehouse.tables()) == expected
        assert lakehouse.run(reporting_time_zone=zone).manifest is None
        if zone == "UTC":
            lakehouse.raw.delete([raws[0].key])
            outcome = lakehouse.run(RunKind.FULL_REFRESH, reporting_time_zone=zone)
            check_counts(lakehouse, outcome)
            assert normal(lakehouse.tables()) == normal(oracle.lake(raws[1:], zone))
            assert [problem.key for problem in outcome.problems] == [raws[0].key]
            assert "it no longer exists in the raw bucket" in outcome.problems[0].reason

    check()
