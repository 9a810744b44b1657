"""File sizes: files per month, their sizes and their row groups, in the tables that the job has written."""

from __future__ import annotations

from collections import Counter

import full_load
import outputs
from comparison import spread
from parquet_bytes import row_groups, total_bytes
from setting import Setting, table


def run(setting: Setting) -> str:
    """Load once with the job and describe its files as text."""
    measured, _ = full_load.load(full_load.JOB, setting, setting.raw())
    rows = []
    for name, files in outputs.published(setting.scratch / "out-the-job").items():
        per_month = Counter(part for file in files for part in file.parts if part.startswith("month="))
        groups = [group for file in files for group in row_groups(file)]
        rows.append(
            [
                name,
                len(per_month),
                spread(list(per_month.values())),
                spread([file.stat().st_size / 1e6 for file in files]),
                len(groups),
                spread(groups),
                f"{total_bytes(files) / max(1, sum(groups)):.1f}",
            ]
        )
    header = ["table", "months", "files per month", "MB per file", "row groups", "rows per group", "bytes per row"]
    return f"{measured.facts['read']:,} records\n\n{table(header, rows)}"
