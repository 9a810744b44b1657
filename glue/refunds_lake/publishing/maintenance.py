"""Maintains the published tables: repairs the catalog, and finds files that are no longer needed.

Everything follows from the run manifests; the commands of the CLI and the job call these functions. No import of Spark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from refunds_lake.publishing.catalog import GlueCatalog
from refunds_lake.publishing.history import read_history
from refunds_lake.publishing.manifests import INDEXES, STAGING, Manifest, runs_prefix
from refunds_lake.publishing.publish import follow
from refunds_lake.schema.columns import TABLES
from refunds_lake.storage.objects import ObjectStore

_RUN_PREFIX: Final = re.compile(r"(?P<prefix>(?P<table>[a-z_]+)/month=[^/]+/run=[^/]+/).+")


def lock_key(base_prefix: str) -> str:
    """Return the lock that job runs, rollbacks and rebuilds of one table set share."""
    return f"{runs_prefix(base_prefix)}_lock.json"


def begin(store: ObjectStore, catalog: GlueCatalog, base_prefix: str) -> tuple[tuple[Manifest, ...], int]:
    """Begin any write: let the catalog show the newest manifest, as the run that wrote it may have died.

    Return the manifests in the order of their numbers, and how many months had to be put right.
    """
    manifests = read_history(store, base_prefix)
    moved = follow(store, catalog, base_prefix, manifests[-1]) if manifests else 0
    return manifests, moved


def sweepable(
    store: ObjectStore, base_prefix: str, manifests: Sequence[Manifest], *, now: datetime, keep: timedelta
) -> list[str]:
    """Return the keys of files and their indexes that were neither written nor live within the last `keep`.

    What the newest manifest names is never among them.
    """
    needed = _live_since(manifests, now - keep)
    keys = []
    for entry in store.listing(base_prefix):
        name = entry.key.removeprefix(base_prefix)
        match = _RUN_PREFIX.fullmatch(name.removeprefix(INDEXES))
        is_of_run = match and match["table"] in TABLES and store.uri(base_prefix + match["prefix"]) not in needed
        if (is_of_run or name.startswith(STAGING)) and entry.last_modified < now - keep:
            keys.append(entry.key)
    return keys


def _live_since(manifests: Sequence[Manifest], moment: datetime) -> set[str]:
    """Return the locations in manifests that were the newest at that moment or later."""
    ended = [each.finished_at for each in manifests[1:]]
    standing = [*(each for each, end in zip(manifests, ended, strict=False) if end >= moment), *manifests[-1:]]
    return {each.location for manifest in standing for months in manifest.tables.values() for each in months.values()}
