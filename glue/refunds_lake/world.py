"""What a run is told, what it works with and what it answers; the values that `job` and its steps share.

Frozen values without behaviour; which client stands behind them is for the script to say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta

from pyspark.sql import SparkSession

from refunds_lake.catalog import Catalog
from refunds_lake.objects import ObjectStore
from refunds_lake.runs import Manifest, Problem, State


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run is told."""

    raw_prefix: str
    base_prefix: str
    reporting_time_zone: str
    job_run_id: str
    full_refresh: bool = False
    months: tuple[str, str] | None = None
    """Rebuild these months, first and last, from the objects that are in the tables already."""
    replay: bool = False
    """Judge the rejected records once more, those with `replay_reason` when it is given."""
    replay_reason: str | None = None
    lock_lifetime: timedelta = timedelta(minutes=5)


@dataclasses.dataclass(frozen=True)
class World:
    """What a run works with."""

    spark: SparkSession
    raw: ObjectStore
    base: ObjectStore
    catalog: Catalog
    clock: Callable[[], datetime]
    say: Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run did: its manifest (None when there was nothing to do) and the state of the lake afterwards."""

    manifest: Manifest | None
    problems: tuple[Problem, ...]
    state: State
    recovered: str | None = None


class SettingsRefused(Exception):
    """The settings do not fit the tables; the message says which and what to do."""
