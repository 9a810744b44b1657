"""Where an engine has put its tables, and what is in them: proof that two engines did the same work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

Files = Mapping[str, Sequence[Path]]
"""Table -> its Parquet files."""


def published(base: Path) -> Files:
    """The live files of a lake that the job has written: those that its catalog points at."""
    pointers = json.loads(base.with_suffix(".catalog.json").read_text())
    return {
        table: sorted(
            file for location in months.values() for file in (base / location.split("/", 3)[3]).glob("*.parquet")
        )
        for table, months in pointers.items()
    }


def written(out: Path) -> Files:
    """The files of a rival: a directory per table."""
    return {
        directory.name: sorted(directory.rglob("*.parquet"))
        for directory in sorted(out.iterdir())
        if directory.is_dir()
    }


def totals(files: Files) -> dict[str, tuple[object, ...]]:
    """Rows, months, amounts and hashes of what matters, table by table: equal for engines that did the same."""
    measures = {
        "purchase": "sum(amount), sum(hash(id, amount, customer_id, merchant_id, month))",
        "void": "sum(amount), sum(hash(id, amount, parent_id, month))",
        "refund": "sum(amount), sum(hash(id, amount, parent_id, month))",
        "refund_detail": "sum(amount) filter (counted), sum(hash(refund_id, customer_id, purchase_month, amount, reason, month))",
        "rejected": "sum(length(raw_text)), sum(hash(raw_text, reasons))",
    }
    found: dict[str, tuple[object, ...]] = {}
    with duckdb.connect(config={"threads": 2}) as connection:
        for table, measure in measures.items():
            if paths := [str(path) for path in files.get(table, [])]:
                row = connection.execute(
                    f"select count(*), count(distinct month), {measure} "
                    "from read_parquet(?, hive_partitioning = true, hive_types_autocast = false)",
                    [paths],
                ).fetchone()
                assert row is not None
                found[table] = row
    return found
