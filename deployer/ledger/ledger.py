"""The ledger: what was done to an environment, by whom, with which release and verdict; kept in the artifacts bucket.
Run records are only ever added (a start and an end each, so that a killed run has its record too); `current.json` is the
one object that is replaced, by compare-and-swap. It records; what follows from it is decided in plan.py and promotion.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from deployer.cloudformation.port import StackState
from deployer.documents import as_document
from deployer.errors import DataopsError
from deployer.ledger.store import RecordStore, readable
from deployer.ledger.verdict import Verdict

VERSION = 1


@dataclass(frozen=True)
class StackRecord:
    """A stack as our last deploy left it. Any change from outside shows in one of the first three."""

    stack_id: str  #: its ARN
    status: str  #: CloudFormation's status
    last_updated: str  #: when it last changed, in ISO 8601
    digest: str  #: of template, parameters and tags

    def matches(self, state: StackState | None, digest: str) -> bool:
        return state is not None and self == StackRecord(state.stack_id, state.status, state.last_updated, digest)


@dataclass(frozen=True)
class Current:
    """What is deployed in an environment now."""

    version: int = field(default=VERSION, kw_only=True)  #: of the record's format
    release: str  #: the release's id
    run: str  #: the run that deployed it
    deployed_at: str  #: when, in ISO 8601
    commit: str = ""  #: from which commit it was built
    outcome: str = "done"  #: how that run ended
    #: by their names, each as our last deployment left it
    stacks: Mapping[str, StackRecord] = field(default_factory=dict)
    smoke: Verdict | None = None  #: the verdict of the smoke test; null if none was run
    promoted_from: str = ""  #: the environment that it came from; empty if it was built here
    etag: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class DeployRun:
    """One run of deploy, promote, rollback or destroy; `end` is None while it runs or when it was killed."""

    id: str
    start: Mapping[str, Any]
    end: Mapping[str, Any] | None

    @property
    def outcome(self) -> str:
        return str(self.end["outcome"]) if self.end else "killed or running"


class Ledger:
    """The records of one environment."""

    def __init__(self, store: RecordStore, environment: str) -> None:
        self._store, self._prefix = store, f"ledger/{environment}/"

    def current(self) -> Current | None:
        """Read the record of the current release, with one GET."""
        found = self._store.get(f"{self._prefix}current.json")
        if found is None:
            return None
        document = json.loads(found.body)
        if document.pop("version") > VERSION:
            raise DataopsError(
                "the ledger was written by a newer dataops", where=f"{self._prefix}current.json", hint="upgrade dataops"
            )
        document["stacks"] = {name: StackRecord(**record) for name, record in document["stacks"].items()}
        document["smoke"] = Verdict.from_document(document["smoke"]) if document["smoke"] else None
        return Current(**document, etag=found.etag)

    def set_current(self, current: Current) -> Current:
        """Replace the version that `current` was made from; refuse if another run has written since."""
        key, body = f"{self._prefix}current.json", readable(as_document(current))
        etag = self._store.create(key, body) if current.etag is None else self._store.replace(key, body, current.etag)
        if etag is None:
            raise DataopsError(
                "another run wrote the ledger during this run",
                where=key,
                hint="run the command again: it starts from what is deployed now",
            )
        return replace(current, etag=etag)

    def start(self, run: str, record: Mapping[str, Any]) -> None:
        self._store.create(f"{self._prefix}runs/{run}/start.json", readable({"version": VERSION, "run": run, **record}))

    def end(self, run: str, record: Mapping[str, Any]) -> None:
        self._store.create(f"{self._prefix}runs/{run}/end.json", readable({"version": VERSION, "run": run, **record}))

    def unfinished(self) -> Sequence[str]:
        """Return the runs with a start and no end: still running, or killed."""
        keys = self._store.keys(f"{self._prefix}runs/")
        started, ended = (
            {key.split("/")[-2] for key in keys if key.endswith(end)} for end in ("/start.json", "/end.json")
        )
        return sorted(started - ended)

    def runs(self, limit: int | None = None) -> Sequence[DeployRun]:
        """Return the runs, newest first."""
        ids = sorted(
            {
                key.removeprefix(f"{self._prefix}runs/").split("/")[0]
                for key in self._store.keys(f"{self._prefix}runs/")
            },
            reverse=True,
        )[:limit]
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self._run, ids))

    def _run(self, run: str) -> DeployRun:
        start = self._store.get(f"{self._prefix}runs/{run}/start.json")
        end = self._store.get(f"{self._prefix}runs/{run}/end.json")
        return DeployRun(run, start.document() if start else {}, end.document() if end else None)
