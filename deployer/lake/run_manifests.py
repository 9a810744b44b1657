"""Reads what job runs recorded: the run manifests of the base bucket, through the library of the job.

The manifest's format and what it means belong to refunds_lake.publishing.manifests; waiting for a run belongs to jobs.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refunds_lake.publishing.history import read_history
from refunds_lake.publishing.manifests import COUNTS, Manifest
from refunds_lake.storage.objects import S3ObjectStore

from deployer.lake.deployed_lake import Lake, TableSet


def base_store(lake: Lake) -> S3ObjectStore:
    """Return the bucket of the tables."""
    return S3ObjectStore(lake.s3, lake.base_bucket)


def recorded_runs(lake: Lake, tables: TableSet) -> Sequence[Manifest]:
    """Return all manifests of a table set, oldest first."""
    return read_history(base_store(lake), tables.prefix)


def manifest_of(lake: Lake, tables: TableSet, job_run_id: str) -> Manifest | None:
    """Return the manifest that a job run recorded, None if it recorded none."""
    runs = recorded_runs(lake, tables)
    return next((run for run in reversed(runs) if run.job_run_id == job_run_id), None)


def counts_text(counts: Mapping[str, int]) -> str:
    """Write the counts as the equation that they are."""
    parts = " + ".join(f"{counts[name]:,} {name}" for name in COUNTS[1:])
    return f"{counts['read']:,} read = {parts}"


def touched_months(manifest: Manifest) -> tuple[str, ...]:
    """Return the months of transactions that a run published or emptied; those of rejected are months of ingestion."""
    return tuple(
        sorted({month for table, months in manifest.changed.items() if table != "rejected" for month in months})
    )
