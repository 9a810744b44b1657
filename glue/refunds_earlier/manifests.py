"""Converts run manifests of before version 2 of the format to today's: what each run left live is computed.

The first run of the job that finds them carries them over, and so does `dataops data rebuild-catalog`. They named what a run
replaced and were folded; a rollback named the run to return to. An intent is the manifest of a run that died while it
published: every file of it is in place, so it counts as the last run.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from refunds_lake.publishing.manifests import (
    Manifest,
    ManifestError,
    RunKind,
    manifest_key,
    manifest_of,
    parse_manifest,
    runs_prefix,
)
from refunds_lake.storage.objects import ObjectStore, PreconditionFailed

INTENT, CHECKPOINT = "_publishing.json", "_checkpoint.json.gz"
_KEPT: Final = ("run_id", "job_run_id", "kind", "started_at", "finished_at", "reporting_time_zone", "inputs", "counts",
                "problems", "note")  # fmt: skip
_MONTH: Final = ("location", "rows", "checksum")
_MANIFEST: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[^/]+\.json")


def carry_over(store: ObjectStore, base_prefix: str) -> None:
    """Rewrite the manifests of earlier versions in this version's form, then delete theirs; can be restarted at any point.

    Raise ManifestError if the record contradicts itself.
    """
    prefix = runs_prefix(base_prefix)
    bodies = {
        each.key.removeprefix(prefix): store.get(each.key)[0]
        for each in store.listing(prefix)
        if each.key != f"{prefix}_lock.json"
    }
    earlier = [name for name in bodies if name in (INTENT, CHECKPOINT) or _MANIFEST.fullmatch(name)]
    carried = carried_over({name: bodies[name] for name in earlier})
    numbered = {name: body for name, body in bodies.items() if name not in earlier}
    recorded = {parse_manifest(body, prefix + name).run_id for name, body in numbered.items()} if earlier else set()
    missing = {each.run_id for each in carried} - recorded
    if missing and (strange := sorted(recorded - {each.run_id for each in carried})):
        raise ManifestError(
            f"{prefix}: an earlier version has recorded runs beside run {strange[0]}, which it cannot know"
        )

    def write(manifest: Manifest) -> None:
        with suppress(PreconditionFailed):  # an attempt that died has written it
            store.put(manifest_key(base_prefix, manifest.number), manifest.as_json(), only_if_absent=True)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, carried if missing else ()))
    store.delete([prefix + name for name in earlier])


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
