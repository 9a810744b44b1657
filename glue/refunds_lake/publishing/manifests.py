"""The content of a run manifest, and the state of the lake that results from all of them.

Manifests are facts that are written once. Each stands alone: it names every month that is live after its run. Where they lie
is for `history`, how the catalog comes to show what they say for `publish`. No import of Spark.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from refunds_lake.log_lines import JobFailure
from refunds_lake.schema.columns import TABLES
from refunds_lake.storage.objects import StoredObject, utc_moment, utc_text

FORMAT: Final = 2
STAGING: Final = "_staging/"
"""Below the prefix of the tables: what runs need until they have published. Readers ignore names that begin with _."""
INDEXES: Final = "_ids/"
"""Below the prefix of the tables: indexes of ids, under the keys of the files that they belong to."""
COUNTS: Final = ("read", "kept", "duplicate", "superseded", "rejected")


class RunKind(StrEnum):
    """What a run set out to do."""

    INCREMENT = "increment"
    FULL_REFRESH = "full_refresh"
    BACKFILL = "backfill"
    REPLAY = "replay"
    ROLLBACK = "rollback"


class ManifestError(JobFailure):
    """A manifest does not say what it must, or is not there; the message names it."""


@dataclasses.dataclass(frozen=True)
class InputObject(StoredObject):
    """A raw object that a run has read to its end, with what was in it."""

    records: int
    rejected: int


@dataclasses.dataclass(frozen=True)
class Problem:
    """A raw object that was not read, and why."""

    key: str  #: which object
    reason: str  #: why


@dataclasses.dataclass(frozen=True)
class Month:
    """One live month of a table: the prefix that holds it, and one hash over its files' names, sizes and ETags."""

    location: str
    rows: int
    checksum: str | None


Tables = Mapping[str, Mapping[str, Month]]
"""Table -> month -> where it is live. Months and tables without rows are left out."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """One run: what it read, what it counted, and every month that is live after it."""

    number: int
    """1 for the first run of a table set; the greatest one says what is live."""
    run_id: str
    parent: str | None
    """The run in force before this one; of a rollback the run that it returns to. None for empty tables."""
    job_run_id: str
    kind: RunKind
    started_at: datetime
    finished_at: datetime
    reporting_time_zone: str
    inputs: tuple[InputObject, ...] = ()
    counts: Mapping[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    problems: tuple[Problem, ...] = ()
    waiting: tuple[str, ...] = ()
    """Keys of raw objects that waited until their senders would rename them; left out of the file where there is none."""
    tables: Tables = dataclasses.field(default_factory=dict)
    changed: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """Table -> the months that it published or emptied."""
    note: str = ""

    def as_json(self) -> bytes:
        """Return the manifest as the content of its file."""
        document = {"format": FORMAT, **dataclasses.asdict(self)}
        for each in document["inputs"]:
            del each["version_id"]  # only the run that reads it needs to know
        if not self.waiting:
            del document["waiting"]
        return json.dumps(document, default=utc_text, separators=(",", ":")).encode()


def parse_manifest(body: bytes, key: str) -> Manifest:
    """Parse the manifest in a file; raise ManifestError with the key."""
    try:
        document = json.loads(body)
        if (found := document.pop("format")) != FORMAT:
            raise ManifestError(f"{key}: format {found} is not known to this version, which writes {FORMAT}")
        return manifest_of(document)
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"{key}: not a run manifest ({error!r})") from error


def manifest_of(document: Mapping[str, Any]) -> Manifest:
    """Return the manifest with these fields from JSON; raise KeyError, TypeError or ValueError."""
    inputs = [{**each, "last_modified": utc_moment(each["last_modified"])} for each in document["inputs"]]
    fields = {
        "kind": RunKind(document["kind"]),
        "started_at": utc_moment(document["started_at"]),
        "finished_at": utc_moment(document["finished_at"]),
        "inputs": tuple(InputObject(**each) for each in inputs),
        "problems": tuple(Problem(**each) for each in document["problems"]),
        "waiting": tuple(document.get("waiting", ())),
        "tables": {t: {m: Month(**each) for m, each in months.items()} for t, months in document["tables"].items()},
        "changed": {table: tuple(months) for table, months in document["changed"].items()},
    }
    return Manifest(**{**document, **fields})


@dataclasses.dataclass(frozen=True)
class State:
    """What the recorded runs add up to."""

    number: int = 0
    """Of the newest manifest."""
    last_run_id: str | None = None
    """The latest run that is recorded, in force or not: the next one's id is greater."""
    in_force: str | None = None
    """The latest run that is in force."""
    reporting_time_zone: str | None = None
    known: frozenset[tuple[str, tuple[str, str]]] = frozenset()
    """Key and identity of every raw object that is in the tables."""
    live: Tables = dataclasses.field(default_factory=dict)
    counts: Mapping[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    """Since the last full refresh."""


def in_force(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Return the runs in force, oldest first: the newest one and its parents. A rollback stands for its parent.

    Raise ManifestError where a run builds on one that is not on record; a full refresh builds on none.
    """
    by_id = {each.run_id: each for each in manifests}
    standing: list[Manifest] = []
    run_id = manifests[-1].run_id if manifests else None
    while run_id in by_id:
        standing.append(by_id[run_id])
        run_id = standing[-1].parent
    if run_id is not None and standing[-1].kind is not RunKind.FULL_REFRESH:
        raise ManifestError(f"the manifest of run {run_id} is missing, but run {standing[-1].run_id} is based on it")
    return [each for each in reversed(standing) if each.kind is not RunKind.ROLLBACK]


def state_of(manifests: Sequence[Manifest]) -> State:
    """Return the state that results from all manifests, in the order of their numbers."""
    if not manifests:
        return State()
    standing = in_force(manifests)
    return State(
        number=manifests[-1].number,
        last_run_id=manifests[-1].run_id,
        in_force=standing[-1].run_id if standing else None,
        reporting_time_zone=standing[-1].reporting_time_zone if standing else None,
        known=known_inputs(standing),
        live=manifests[-1].tables,
        counts={name: sum(each.counts[name] for each in _since_refresh(standing)) for name in COUNTS},
    )


def known_inputs(standing: Sequence[Manifest]) -> frozenset[tuple[str, tuple[str, str]]]:
    """Return key and identity of every raw object that runs in force have put into the tables."""
    return frozenset((each.key, each.identity) for run in _since_refresh(standing) for each in run.inputs)


def _since_refresh(standing: Sequence[Manifest]) -> Sequence[Manifest]:
    """Return the last full refresh, which reads everything, and the runs after it."""
    refreshes = [place for place, each in enumerate(standing) if each.kind is RunKind.FULL_REFRESH]
    return standing[refreshes[-1] :] if refreshes else standing


def changes_between(before: Tables, after: Tables) -> dict[str, tuple[str, ...]]:
    """Return table -> the months that were moved, added or removed."""
    found = {}
    for table in TABLES:
        old, new = before.get(table, {}), after.get(table, {})
        if months := tuple(month for month in sorted(old.keys() | new.keys()) if old.get(month) != new.get(month)):
            found[table] = months
    return found


def runs_prefix(base_prefix: str) -> str:
    """Return the prefix of a table set's control files."""
    return f"{base_prefix}_runs/"


def manifest_key(base_prefix: str, number: int) -> str:
    return f"{runs_prefix(base_prefix)}{number:08}.json"


def new_run_id(now: datetime, job_run_id: str, last_run_id: str | None) -> str:
    """Return a run id that sorts after the last one, even if the clock stood still or was set back."""
    suffix = "".join(letter for letter in job_run_id if letter.isalnum())[-8:].rjust(8, "0")
    if last_run_id is not None:
        last = datetime.strptime(last_run_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=now.tzinfo)
        now = max(now, last + timedelta(seconds=1))
    return f"{now:%Y%m%dT%H%M%SZ}-{suffix}"
