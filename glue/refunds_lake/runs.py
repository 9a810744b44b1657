"""What earlier runs have done: the run manifests, and the state of the lake that they add up to.

Manifests are facts that are written once, under `<base_prefix>_runs/<run_id>.json`; the state is a pure fold over them.
A checkpoint spares a run from reading thousands of manifests, it is a cache and never the truth. No import of Spark.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from refunds_lake.objects import ObjectMissing, ObjectStore, utc_moment, utc_text

FORMAT: Final = 1
FULL_REFRESH: Final = "full_refresh"
INCREMENT: Final = "increment"
BACKFILL: Final = "backfill"
REPLAY: Final = "replay"
ROLLBACK: Final = "rollback"
STAGING: Final = "_staging/"
"""Below the prefix of the tables: what runs need until they have published. No reader looks at names that begin with _."""
INDEXES: Final = "_ids/"
"""Below the prefix of the tables: indexes of ids, under the keys of the files that they belong to."""
COUNTS: Final = ("read", "kept", "duplicate", "superseded", "rejected")
MANIFESTS_PER_CHECKPOINT: Final = 20


class ManifestError(Exception):
    """A manifest does not say what it must; the message names it."""


@dataclasses.dataclass(frozen=True)
class InputObject:
    """A raw object that a run has read to its end, with what was in it."""

    key: str
    etag: str
    last_modified: datetime
    size: int
    records: int
    rejected: int

    @property
    def identity(self) -> tuple[str, str]:
        """Which delivery of the key this is."""
        return self.etag, utc_text(self.last_modified)


@dataclasses.dataclass(frozen=True)
class Problem:
    """A raw object that was not read, and why."""

    key: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Month:
    """One published month of a table; `location` is None when the run emptied it."""

    location: str | None
    rows: int
    previous_location: str | None
    checksum: str | None


Tables = Mapping[str, Mapping[str, Month]]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """One run: what it read, what it counted, where it put each month, and what stood there before."""

    run_id: str
    job_run_id: str
    kind: str
    started_at: datetime
    finished_at: datetime
    reporting_time_zone: str
    inputs: tuple[InputObject, ...] = ()
    counts: Mapping[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    problems: tuple[Problem, ...] = ()
    tables: Tables = dataclasses.field(default_factory=dict)
    returns_to: str | None = None
    """A rollback's run to return to: the last one that stays in force; None is the empty lake."""
    note: str = ""

    @property
    def full_refresh(self) -> bool:
        return self.kind == FULL_REFRESH

    def as_json(self) -> bytes:
        """The manifest as its file's content."""
        document = {
            "format": FORMAT,
            "run_id": self.run_id,
            "job_run_id": self.job_run_id,
            "kind": self.kind,
            "full_refresh": self.full_refresh,
            "started_at": utc_text(self.started_at),
            "finished_at": utc_text(self.finished_at),
            "reporting_time_zone": self.reporting_time_zone,
            "returns_to": self.returns_to,
            "note": self.note,
            "counts": dict(self.counts),
            "problems": [dataclasses.asdict(problem) for problem in self.problems],
            "inputs": [
                {**dataclasses.asdict(each), "last_modified": utc_text(each.last_modified)} for each in self.inputs
            ],
            "tables": {
                name: {"months": {month: dataclasses.asdict(months[month]) for month in sorted(months)}}
                for name, months in self.tables.items()
            },
        }
        return json.dumps(document, indent=1).encode()


def parse_manifest(body: bytes, key: str) -> Manifest:
    """The manifest in a file; raises ManifestError with the key."""
    try:
        document = json.loads(body)
        if document["format"] != FORMAT:
            raise ManifestError(
                f"{key}: format {document['format']} is not known to this version, which writes {FORMAT}"
            )
        return Manifest(
            run_id=document["run_id"],
            job_run_id=document["job_run_id"],
            kind=document["kind"],
            started_at=utc_moment(document["started_at"]),
            finished_at=utc_moment(document["finished_at"]),
            reporting_time_zone=document["reporting_time_zone"],
            inputs=tuple(
                InputObject(**{**each, "last_modified": utc_moment(each["last_modified"])})
                for each in document["inputs"]
            ),
            counts=document["counts"],
            problems=tuple(Problem(**each) for each in document["problems"]),
            tables={
                name: {month: Month(**each) for month, each in table["months"].items()}
                for name, table in document["tables"].items()
            },
            returns_to=document["returns_to"],
            note=document["note"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"{key}: not a run manifest ({error!r})") from error


@dataclasses.dataclass(frozen=True)
class State:
    """What the runs in force add up to."""

    last_run_id: str | None = None
    """The latest run that is recorded, in force or not: the next one's id is greater."""
    in_force: str | None = None
    """The latest run that is in force."""
    reporting_time_zone: str | None = None
    known: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    """Key -> identity of every raw object that is in the tables."""
    live: Tables = dataclasses.field(default_factory=dict)
    counts: Mapping[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    """Since the last full refresh."""


def apply(state: State, manifest: Manifest) -> State:
    """The state after one more run; rollbacks are not a step forward, `fold` handles them."""
    if manifest.full_refresh:
        state = State()
    live = {table: dict(months) for table, months in state.live.items()}
    for table, months in manifest.tables.items():
        for month, published in months.items():
            if published.location is None:
                live.get(table, {}).pop(month, None)
            else:
                live.setdefault(table, {})[month] = published
    return State(
        last_run_id=manifest.run_id,
        in_force=manifest.run_id,
        reporting_time_zone=manifest.reporting_time_zone,
        known={**state.known, **{each.key: each.identity for each in manifest.inputs}},
        live={table: months for table, months in live.items() if months},
        counts={name: state.counts[name] + manifest.counts[name] for name in COUNTS},
    )


def in_force(manifests: Iterable[Manifest]) -> list[Manifest]:
    """The runs whose effect stands, oldest first: a rollback undoes those behind the run that it returns to."""
    standing: list[Manifest] = []
    for manifest in manifests:
        if manifest.kind != ROLLBACK:
            standing.append(manifest)
            continue
        while standing and standing[-1].run_id != manifest.returns_to:
            standing.pop()
    return standing


def fold(manifests: Sequence[Manifest], start: State | None = None) -> State:
    """The state that manifests in run order add up to, behind a checkpoint's state when given."""
    state = start or State()
    for manifest in in_force(manifests):
        state = apply(state, manifest)
    return dataclasses.replace(state, last_run_id=manifests[-1].run_id) if manifests else state


def live_partitions(manifests: Sequence[Manifest]) -> Tables:
    """Table -> month -> what is published there now, from all manifests in run order."""
    return fold(manifests).live


def runs_prefix(base_prefix: str) -> str:
    """Where the control files of a table set lie."""
    return f"{base_prefix}_runs/"


def manifest_key(base_prefix: str, run_id: str) -> str:
    return f"{runs_prefix(base_prefix)}{run_id}.json"


def _checkpoint_key(base_prefix: str) -> str:
    return f"{runs_prefix(base_prefix)}_checkpoint.json.gz"


def read_manifests(store: ObjectStore, base_prefix: str, *, after: str = "") -> list[Manifest]:
    """The recorded runs in run order, only those behind `after` when given."""
    prefix = runs_prefix(base_prefix)
    keys = [
        each.key
        for each in store.listing(prefix, after=manifest_key(base_prefix, after) if after else "")
        if each.key.endswith(".json") and not each.key.removeprefix(prefix).startswith("_")
    ]
    return [parse_manifest(store.get(key)[0], key) for key in keys]


def read_state(store: ObjectStore, base_prefix: str) -> State:
    """What is on the record now: the checkpoint and the few manifests behind it."""
    checkpoint = _read_checkpoint(store, base_prefix)
    if checkpoint is None or checkpoint.last_run_id is None:
        return fold(read_manifests(store, base_prefix))
    manifests = read_manifests(store, base_prefix, after=checkpoint.last_run_id)
    if any(manifest.kind == ROLLBACK for manifest in manifests):
        return fold(read_manifests(store, base_prefix))
    return fold(manifests, checkpoint)


def write_checkpoint(store: ObjectStore, base_prefix: str, *, always: bool = False) -> None:
    """Fold the manifests into a new checkpoint when enough of them have come together."""
    checkpoint = _read_checkpoint(store, base_prefix)
    after = (checkpoint.last_run_id if checkpoint else None) or ""
    manifests = read_manifests(store, base_prefix, after=after)
    if always or len(manifests) >= MANIFESTS_PER_CHECKPOINT:
        state = read_state(store, base_prefix)
        store.put(_checkpoint_key(base_prefix), gzip.compress(_state_as_json(state)))


def _state_as_json(state: State) -> bytes:
    document = {
        "format": FORMAT,
        "last_run_id": state.last_run_id,
        "in_force": state.in_force,
        "reporting_time_zone": state.reporting_time_zone,
        "known": {key: list(identity) for key, identity in state.known.items()},
        "live": {
            table: {month: dataclasses.asdict(each) for month, each in months.items()}
            for table, months in state.live.items()
        },
        "counts": dict(state.counts),
    }
    return json.dumps(document).encode()


def _read_checkpoint(store: ObjectStore, base_prefix: str) -> State | None:
    """The checkpoint, or None when there is none that can be used: it can always be made again."""
    try:
        document: dict[str, Any] = json.loads(gzip.decompress(store.get(_checkpoint_key(base_prefix))[0]))
        if document["format"] != FORMAT:
            return None
        return State(
            last_run_id=document["last_run_id"],
            in_force=document["in_force"],
            reporting_time_zone=document["reporting_time_zone"],
            known={key: (etag, modified) for key, (etag, modified) in document["known"].items()},
            live={
                table: {month: Month(**each) for month, each in months.items()}
                for table, months in document["live"].items()
            },
            counts=document["counts"],
        )
    except (ObjectMissing, OSError, EOFError, KeyError, TypeError, ValueError):
        return None


def new_run_id(now: datetime, job_run_id: str, last_run_id: str | None) -> str:
    """A run id that sorts behind the last one, also when the clock has not moved on or was set back."""
    suffix = "".join(letter for letter in job_run_id if letter.isalnum())[-8:].rjust(8, "0")
    moment = now
    if last_run_id is not None:
        last = datetime.strptime(last_run_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=now.tzinfo)
        moment = max(now, last + timedelta(seconds=1))
    return f"{moment:%Y%m%dT%H%M%SZ}-{suffix}"
