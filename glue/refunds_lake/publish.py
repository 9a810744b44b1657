"""Make a run's months visible: intent, pointers, manifest, in this order, so that a crash anywhere can be rolled forward.

The files are written and checked before; here only pointers move. Rollback and retention live in `upkeep`.
"""

from __future__ import annotations

import contextlib

from refunds_lake.catalog import Catalog
from refunds_lake.columns import TABLES
from refunds_lake.lock import Lock
from refunds_lake.objects import ObjectMissing, ObjectStore, PreconditionFailed
from refunds_lake.runs import Manifest, Tables, manifest_key, parse_manifest, runs_prefix, write_checkpoint


def intent_key(base_prefix: str) -> str:
    """The file that holds the manifest of a publication under way."""
    return f"{runs_prefix(base_prefix)}_publishing.json"


def publish(store: ObjectStore, catalog: Catalog, base_prefix: str, manifest: Manifest, lock: Lock) -> None:
    """Publish a run whose files are complete; afterwards it is on the record.

    Readers see each month change at once, and table after table: purchase, void, refund, refund_detail, rejected.
    """
    lock.assert_held()
    store.put(intent_key(base_prefix), manifest.as_json(), only_if_absent=True)
    _carry_out(store, catalog, base_prefix, manifest)


def recover(store: ObjectStore, catalog: Catalog, base_prefix: str, lock: Lock) -> Manifest | None:
    """Finish the publication that a dead run has left, if there is one, and return its manifest.

    The intent is written only when every file is in place, so carrying it out again gives what that run would have.
    """
    key = intent_key(base_prefix)
    try:
        body, _ = store.get(key)
    except ObjectMissing:
        return None
    lock.assert_held()
    manifest = parse_manifest(body, key)
    _carry_out(store, catalog, base_prefix, manifest)
    return manifest


def move_pointers(catalog: Catalog, tables: Tables) -> None:
    """Let each month be read from its new location, table after table in publishing order."""
    for table in TABLES:
        months = tables.get(table, {})
        catalog.point(table, {month: each.location for month, each in months.items() if each.location is not None})
        catalog.drop(table, [month for month, each in months.items() if each.location is None])


def _carry_out(store: ObjectStore, catalog: Catalog, base_prefix: str, manifest: Manifest) -> None:
    move_pointers(catalog, manifest.tables)
    with contextlib.suppress(PreconditionFailed):  # a dead run got as far as recording itself
        store.put(manifest_key(base_prefix, manifest.run_id), manifest.as_json(), only_if_absent=True)
    store.delete([intent_key(base_prefix)])
    write_checkpoint(store, base_prefix)
