"""Converts run manifests of before version 2 of the format to today's: what each run left live is computed.

They named what a run replaced and were folded; a rollback named the run to return to. An intent is the manifest of a run
that died while it published: every file of it is in place, so it counts as the last run.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from refunds_lake.publishing.manifests import Manifest, ManifestError, RunKind, manifest_of

INTENT, CHECKPOINT = "_publishing.json", "_checkpoint.json.gz"
_KEPT: Final = ("run_id", "job_run_id", "kind", "started_at", "finished_at", "reporting_time_zone", "inputs", "counts",
                "problems", "note")  # fmt: skip
_MONTH: Final = ("location", "rows", "checksum")
_MANIFEST: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[^/]+\.json")


def is_file(name: str) -> bool:
    """Return whether a control file was written by an earlier version and would not be by this one."""
    return name in (INTENT, CHECKPOINT) or _MANIFEST.fullmatch(name) is not None


def carried_over(bodies: Mapping[str, bytes]) -> list[Manifest]:
    """Return the runs in these control files as manifests of today, numbered in run order; raise ManifestError."""
    carried: list[Manifest] = []
    standing: list[Manifest] = []
    for name in (*sorted(filter(_MANIFEST.fullmatch, bodies)), *({INTENT} & bodies.keys())):
        try:
            document = json.loads(bodies[name])
            if document["format"] != 1:
                raise ManifestError(f"{name}: format {document['format']} is not known under this name")
            if document["run_id"] in {each.run_id for each in carried}:
                continue  # an intent whose run wrote its manifest before it died
            is_rollback = document["kind"] == RunKind.ROLLBACK
            while is_rollback and standing and standing[-1].run_id != document["returns_to"]:
                standing.pop()
            carried.append(_converted(document, len(carried) + 1, standing[-1] if standing else None))
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestError(f"{name}: not a run manifest ({error!r})") from error
        if not is_rollback:
            standing.append(carried[-1])
    return carried


def _converted(document: Mapping[str, Any], number: int, parent: Manifest | None) -> Manifest:
    published = {table: each["months"] for table, each in document["tables"].items()}
    live: dict[str, dict[str, Any]] = {}
    if parent is not None and document["kind"] != RunKind.FULL_REFRESH:
        live = dataclasses.asdict(parent)["tables"]
    for table, months in published.items() if document["kind"] != RunKind.ROLLBACK else ():
        there = {month: {name: each[name] for name in _MONTH} for month, each in months.items() if each["location"]}
        live[table] = {**{month: each for month, each in live.get(table, {}).items() if month not in months}, **there}
    return manifest_of(
        {
            **{name: document[name] for name in _KEPT},
            "number": number,
            "parent": parent.run_id if parent is not None else None,
            "tables": {table: months for table, months in live.items() if months},
            "changed": {table: sorted(months) for table, months in published.items()},
        }
    )
