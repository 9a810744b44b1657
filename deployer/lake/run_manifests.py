"""Reads what job runs recorded: the run manifests of the base bucket, through the library of the job.

The manifest's format and what it means belong to refunds_lake.publishing.manifests; waiting for a run belongs to jobs.py.
What the library says of a record that cannot be read is translated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from refunds_lake.publishing.history import EarlierRecord, read_history
from refunds_lake.publishing.manifests import COUNTS, Manifest, ManifestError, in_force
from refunds_lake.storage.objects import S3ObjectStore

from deployer.errors import DataopsError
from deployer.lake.deployed_lake import Lake, TableLocation


class RecordUnreadable(DataopsError):
    """The manifests of the runs are not all there, or are not in the form of this version."""


@contextmanager
def as_record_errors(environment: str) -> Iterator[None]:
    """Raise what the library says of manifests as RecordUnreadable."""
    where = f"environment {environment}"
    try:
        yield
    except EarlierRecord as error:
        hint = f"dataops run --env {environment}, or dataops data rebuild-catalog --env {environment} without a run"
        raise RecordUnreadable(str(error), where=where, hint=hint) from error
    except ManifestError as error:
        hint = "restore its previous version from the versioned base bucket; a format of a later version needs that version"
        raise RecordUnreadable(str(error), where=where, hint=hint) from error


def base_store(lake: Lake) -> S3ObjectStore:
    """Return the bucket of the tables."""
    return S3ObjectStore(lake.s3, lake.base_bucket)


def recorded_runs(lake: Lake, tables: TableLocation) -> Sequence[Manifest]:
    """Return all manifests of a table set, oldest first. Raise RecordUnreadable, also if one between them is missing."""
    with as_record_errors(lake.environment):
        manifests = read_history(base_store(lake), tables.prefix)
        in_force(manifests)  # raises where a manifest is missing, so that no caller has to expect it
        return manifests


def manifest_of(lake: Lake, tables: TableLocation, job_run_id: str) -> Manifest | None:
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
