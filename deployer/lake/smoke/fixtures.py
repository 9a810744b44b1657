"""The fixtures that a release brings for its smoke test: raw files, and the answer that its job and SQL must give.

They are taken from the release itself, so a stored release is tested with what it was tested with before.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from deployer.errors import ConfigError
from deployer.refunds import RefundRow
from deployer.release.release import SQL_DIRECTORY, Release, short

FIXTURES_PREFIX = f"{SQL_DIRECTORY}/smoke/"
INGEST_DATE = "2026-01-01"  # any day: the fixtures' keys do not depend on when they are uploaded


@dataclass(frozen=True)
class Fixtures:
    """The raw files, by the name they are uploaded under in the order of their ingestion, and their answer."""

    files: Mapping[str, bytes]
    counts: Mapping[str, int]
    total: tuple[RefundRow, ...]
    monthly: Mapping[str, tuple[RefundRow, ...]]


def load_fixtures(release: Release) -> Fixtures:
    """Read a release's raw files and their answer. Raise ConfigError when one is not among its files."""
    answer = json.loads(_content(release, "answer.json"))
    return Fixtures(
        files={
            upload: _as_uploaded(name, _content(release, name), upload) for name, upload in answer["uploads"].items()
        },
        counts=answer["counts"],
        total=_expected_rows(answer["total"]),
        monthly={month: _expected_rows(rows) for month, rows in answer["monthly"].items()},
    )


def _content(release: Release, name: str) -> bytes:
    path = FIXTURES_PREFIX + name
    if path not in release.files:
        raise ConfigError(
            f"release {short(release.id)} has no such file, which its smoke test needs",
            where=path,
            hint="deploy a release that has it, or this one with --no-smoke",
        )
    return release.files[path].content


def _as_uploaded(name: str, body: bytes, upload: str) -> bytes:
    """Compress files whose upload name ends in .gz, always to the same bytes."""
    return gzip.compress(body, mtime=0) if upload.endswith(".gz") and not name.endswith(".gz") else body


def _expected_rows(rows: Sequence[Mapping[str, str]]) -> tuple[RefundRow, ...]:
    return tuple(RefundRow(row["customer_id"], Decimal(row["total_refund"])) for row in rows)
