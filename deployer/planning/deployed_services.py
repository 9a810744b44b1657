"""What CloudFormation's drift detection does not look at: the bytes behind a job's script, the columns of a table."""

from __future__ import annotations

from typing import Protocol


class DeployedServices(Protocol):
    """Reads of the services themselves."""

    def script_of(self, job: str) -> str | None:
        """The script's `s3://` address; None when there is no such job."""

    def columns_of(self, database: str, table: str) -> tuple[tuple[str, str], ...] | None:
        """(name, type) of columns and partition keys; None when there is no such table."""

    def content(self, address: str) -> bytes | None:
        """The object at an `s3://` address; None when there is none."""
