"""How many bytes of Parquet files a query must read: the compressed column chunks of the columns it names.

Read from the footers, so the same for every engine and every run; the footers themselves are not counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import pyarrow.parquet


def chunk_bytes(file: Path, columns: Collection[str] | None = None) -> int:
    """Compressed bytes of the columns in one file; all columns without names. A nested column is named by its root."""
    metadata = pyarrow.parquet.read_metadata(file)
    chunks = (
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    )
    return sum(
        chunk.total_compressed_size
        for chunk in chunks
        if columns is None or chunk.path_in_schema.split(".")[0] in columns
    )


def total_bytes(files: Iterable[Path], columns: Collection[str] | None = None) -> int:
    """The same, over many files."""
    return sum(chunk_bytes(file, columns) for file in files)


def row_groups(file: Path) -> list[int]:
    """Rows of each row group of a file."""
    metadata = pyarrow.parquet.read_metadata(file)
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
