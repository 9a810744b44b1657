"""The recorded runs below `<base_prefix>_runs/`: one manifest for each, under its number. No import of Spark."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from refunds_lake.publishing.manifests import Manifest, ManifestError, manifest_key, parse_manifest, runs_prefix
from refunds_lake.storage.objects import ObjectStore

_NUMBERED: Final = re.compile(r"[0-9]{8}\.json")
_EARLIER: Final = re.compile(r"_publishing\.json|_checkpoint\.json\.gz|[0-9]{8}T[0-9]{6}Z-[^/]+\.json")


class EarlierRecord(ManifestError):
    """An earlier version has recorded its runs here; `refunds_earlier` carries them over."""


def read_history(store: ObjectStore, base_prefix: str) -> tuple[Manifest, ...]:
    """Return all recorded runs in the order of their numbers; raise ManifestError, EarlierRecord."""
    prefix = runs_prefix(base_prefix)
    keys = [each.key for each in store.listing(prefix)]
    if earlier := [key for key in keys if _EARLIER.fullmatch(key.removeprefix(prefix))]:
        raise EarlierRecord(f"{earlier[0]}: recorded by an earlier version, which the job's next run carries over")
    return tuple(_read(store, (key for key in keys if _NUMBERED.fullmatch(key.removeprefix(prefix)))))


def newer_than(store: ObjectStore, base_prefix: str, number: int) -> Manifest | None:
    """Return the newest manifest after a number, if there is one."""
    prefix = runs_prefix(base_prefix)
    listing = store.listing(prefix, after=manifest_key(base_prefix, number))
    keys = [each.key for each in listing if _NUMBERED.fullmatch(each.key.removeprefix(prefix))]
    return _read(store, keys[-1:])[0] if keys else None


def _read(store: ObjectStore, keys: Iterable[str]) -> list[Manifest]:
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda key: parse_manifest(store.get(key)[0], key), keys))
