"""The inputs, tools and result of a run; the values that `job` and its steps share.

Frozen values without behaviour; which client stands behind them is for the script to say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta

from pyspark.sql import SparkSession

from refunds_lake.log_lines import JobFailure
from refunds_lake.publishing.catalog import GlueCatalog
from refunds_lake.publishing.manifests import Manifest, Problem, RunKind, State
from refunds_lake.storage.lock import IsOver
from refunds_lake.storage.objects import ObjectStore


@dataclasses.dataclass(frozen=True)
class JobSettings:
    """The settings of a run."""

    raw_prefix: str
    base_prefix: str
    reporting_time_zone: str
    job_run_id: str
    kind: RunKind = RunKind.INCREMENT
    months: tuple[str, str] | None = None
    """Of a backfill: the first and the last month to make again, from the objects that are in the tables already."""
    replay_reason: str | None = None
    """Of a replay: the reason for which records were rejected; None for all."""
    retention: timedelta = timedelta(days=30)
    """How long months are kept that are live no more."""


@dataclasses.dataclass(frozen=True)
class JobContext:
    """What a run works with."""

    spark: SparkSession
    raw: ObjectStore
    base: ObjectStore
    catalog: GlueCatalog
    clock: Callable[[], datetime]
    say: Callable[[str], None]
    """Takes lines for people who follow the run."""
    is_over: IsOver
    """Of the job run that holds the lock."""


@dataclasses.dataclass(frozen=True)
class JobOutcome:
    """What a run did: its manifest (None when there was nothing to do) and the state of the lake afterwards."""

    manifest: Manifest | None
    problems: tuple[Problem, ...]
    state: State
    recovered: str | None = None
    """The run whose publication was finished before this one began."""
    waiting: tuple[str, ...] = ()
    """Keys of raw objects that wait until their senders rename them."""
    swept: int = 0
    """How many files without readers were deleted."""
    sweep_failure: str | None = None


class SettingsRefused(JobFailure):
    """The settings do not fit the tables; the message says which and what to do."""
