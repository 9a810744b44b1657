"""Makes a run's months visible: its manifest is the commit, and the catalog follows the newest manifest.

The files are written and checked before; here only pointers move. A process that dies behind the commit leaves a catalog that
lags behind, and the next one to begin lets it follow. Retention lives in `maintenance`.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

from refunds_lake.log_lines import JobFailure
from refunds_lake.publishing.catalog import CatalogError, GlueCatalog
from refunds_lake.publishing.history import newer_than
from refunds_lake.publishing.manifests import Manifest, Tables, manifest_key, parse_manifest
from refunds_lake.schema.columns import TABLES
from refunds_lake.storage.objects import ObjectMissing, ObjectStore, PreconditionFailed


class Overtaken(JobFailure):
    """Another run has published since this one has read what is live; nothing of this one is published."""


def publish(store: ObjectStore, catalog: GlueCatalog, base_prefix: str, manifest: Manifest) -> None:
    """Publish a run whose files are complete; raise Overtaken if its number is taken.

    Readers see each month change at once, and table after table: purchase, void, refund, refund_detail, rejected.
    """
    commit(store, base_prefix, manifest)
    follow(store, catalog, base_prefix, manifest)


def commit(store: ObjectStore, base_prefix: str, manifest: Manifest) -> None:
    """Put the manifest under its number: the one step that publishes, all or nothing."""
    key = manifest_key(base_prefix, manifest.number)
    try:
        store.put(key, manifest.as_json(), only_if_absent=True)
    except PreconditionFailed as error:
        with contextlib.suppress(ObjectMissing):
            if parse_manifest(store.get(key)[0], key).run_id == manifest.run_id:
                return  # an answer got lost, and the client has asked again
        raise Overtaken(
            f"another run has published as number {manifest.number} while run {manifest.run_id} was active; nothing of "
            "this run was published. Start it again."
        ) from error


def follow(store: ObjectStore, catalog: GlueCatalog, base_prefix: str, newest: Manifest) -> int:
    """Let the catalog show what the newest manifest names; return how many months were changed.

    Another run may have published in the meantime, so after a change the newest manifest is read once more.
    """
    try:
        moved = reconcile(catalog, newest.tables)
    except CatalogError:  # another writer may move the same months: try again with the catalog's current state
        moved = reconcile(catalog, newest.tables)
    if moved and (newer := newer_than(store, base_prefix, newest.number)):
        moved += follow(store, catalog, base_prefix, newer)
    return moved


def reconcile(catalog: GlueCatalog, live: Tables) -> int:
    """Let the catalog show these months and no others; return how many were changed. Repeating it changes nothing."""
    changes = 0
    with ThreadPoolExecutor(len(TABLES)) as pool:
        shown = dict(zip(TABLES, pool.map(catalog.months, TABLES), strict=True))
    for table, found in shown.items():
        wanted = {month: each.location for month, each in live.get(table, {}).items()}
        moving = {m: to for m, to in wanted.items() if m in found and found[m] != to}
        coming = {m: to for m, to in wanted.items() if m not in found}
        leaving = sorted(found.keys() - wanted.keys())
        catalog.update(table, moving)
        catalog.create(table, coming)
        catalog.drop(table, leaving)
        changes += len(moving) + len(coming) + len(leaving)
    return changes
