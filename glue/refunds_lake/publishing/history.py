"""The recorded runs below `<base_prefix>_runs/`: one manifest for each, under its number.

Manifests of earlier versions are read as well, and carried over once by the first run that writes. No import of Spark.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from refunds_lake.publishing import format1
from refunds_lake.publishing.manifests import Manifest, ManifestError, manifest_key, parse_manifest, runs_prefix
from refunds_lake.storage.objects import ObjectStore, PreconditionFailed

_NUMBERED: Final = re.compile(r"[0-9]{8}\.json")
_CONCURRENT_REQUESTS: Final = 16


@dataclasses.dataclass(frozen=True)
class History:
    """All recorded runs in the order of their numbers, and the files of earlier versions that still lie there."""

    manifests: tuple[Manifest, ...]
    to_carry_over: tuple[str, ...] = ()


def read_history(store: ObjectStore, base_prefix: str) -> History:
    """Return the recorded history; raise ManifestError if it contradicts itself."""
    prefix = runs_prefix(base_prefix)
    keys = [each.key for each in store.listing(prefix)]
    manifests = _read(store, (key for key in keys if _NUMBERED.fullmatch(key.removeprefix(prefix))))
    if not (earlier := [key for key in keys if format1.is_file(key.removeprefix(prefix))]):
        return History(tuple(manifests))
    carried = format1.carried_over({key.removeprefix(prefix): store.get(key)[0] for key in earlier})
    recorded = {each.run_id for each in manifests}
    if {each.run_id for each in carried} <= recorded:
        return History(tuple(manifests), tuple(earlier))
    if strange := sorted(recorded - {each.run_id for each in carried}):
        raise ManifestError(
            f"{prefix}: an earlier version has recorded runs beside run {strange[0]}, which it cannot know"
        )
    return History(tuple(carried), tuple(earlier))


def carry_over(store: ObjectStore, base_prefix: str, history: History) -> None:
    """Rewrite the manifests of earlier versions in this version's form, then delete theirs; can be restarted at any point."""
    if not history.to_carry_over:
        return

    def write(manifest: Manifest) -> None:
        with contextlib.suppress(PreconditionFailed):  # an attempt that died has written it
            store.put(manifest_key(base_prefix, manifest.number), manifest.as_json(), only_if_absent=True)

    with ThreadPoolExecutor(_CONCURRENT_REQUESTS) as pool:
        list(pool.map(write, history.manifests))
    store.delete(history.to_carry_over)


def newer_than(store: ObjectStore, base_prefix: str, number: int) -> Manifest | None:
    """Return the newest manifest after a number, if there is one."""
    prefix = runs_prefix(base_prefix)
    listing = store.listing(prefix, after=manifest_key(base_prefix, number))
    keys = [each.key for each in listing if _NUMBERED.fullmatch(each.key.removeprefix(prefix))]
    return _read(store, keys[-1:])[0] if keys else None


def _read(store: ObjectStore, keys: Iterable[str]) -> list[Manifest]:
    with ThreadPoolExecutor(_CONCURRENT_REQUESTS) as pool:
        return list(pool.map(lambda key: parse_manifest(store.get(key)[0], key), keys))
