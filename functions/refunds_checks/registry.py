"""The table of checks: athena/checks/checks.json and the SQL beside it, as frozen values.

docs/sql.md explains the columns; `validation` runs the checks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

TABLE_FILE = "checks.json"


class ChecksError(Exception):
    """The table of checks does not say what it must; the message names file and check."""


class Severity(StrEnum):
    """What an offending row means: the figures cannot be trusted, or someone should look."""

    ERROR = "error"
    WARNING = "warning"


class Source(StrEnum):
    """What a check reads: the tables, in SQL, or the arrivals in the run manifests."""

    SQL = "sql"
    MANIFESTS = "manifests"


@dataclass(frozen=True)
class Check:
    """One named check; `sql` is None if it reads the manifests."""

    name: str
    promise: str
    source: Source
    severity: Severity
    threshold: float | None
    unit: str
    blocking: bool
    runbook: str
    sql: str | None = None


def load_checks(directory: Path) -> tuple[Check, ...]:
    """Return the checks of a folder in the order of its table. Raise ChecksError."""
    table = directory / TABLE_FILE
    try:
        entries = json.loads(table.read_text(encoding="utf-8"))["checks"]
        checks = tuple(_check(entry, directory) for entry in entries)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ChecksError(f"{table}: not a table of checks ({type(error).__name__}: {error})") from error
    if len({check.name for check in checks}) != len(checks):
        raise ChecksError(f"{table}: it lists a check twice")
    return checks


def blocking(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks that must pass before a month end."""
    return tuple(check for check in checks if check.blocking)


def _check(entry: dict[str, Any], directory: Path) -> Check:
    source = Source(entry["source"])
    sql = (directory / f"{entry['name']}.sql").read_text(encoding="utf-8") if source is Source.SQL else None
    return Check(**{**entry, "source": source, "severity": Severity(entry["severity"])}, sql=sql)
