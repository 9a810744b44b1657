"""What CloudFormation's drift detection does not check: the content of a job's script or a function, the columns of a table."""

from __future__ import annotations

from typing import Protocol


class DeployedServices(Protocol):
    """Reads of the services themselves."""

    def script_of(self, job: str) -> str | None:
        """Return the script's `s3://` address; None when there is no such job."""

    def code_of(self, function: str) -> str | None:
        """Return the SHA-256 of a function's package, in hex; None when there is no such function."""

    def columns_of(self, database: str, table: str) -> tuple[tuple[str, str], ...] | None:
        """Return (name, type) of columns and partition keys; None when there is no such table."""

    def content(self, address: str) -> bytes | None:
        """Return the object at an `s3://` address; None when there is none."""
