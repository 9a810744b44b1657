"""The records of one raw object to its end, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from refunds_lake.raw.blocks import Unreadable, blocks
from refunds_lake.raw.csv_lines import from_csv
from refunds_lake.raw.json_lines import from_json
from refunds_lake.raw.parquet_rows import from_parquet, open_parquet
from refunds_lake.raw.raw_files import RawFile
from refunds_lake.raw.raw_source import RawSource
from refunds_lake.raw.records import Records
from refunds_lake.schema.contract import CSV, FIELDS, PARQUET

_PARQUET_ROWS: Final = 1 << 15


def read(source: RawSource, file: RawFile) -> Iterator[Records]:
    """The records of a file; raises Unreadable, perhaps after many of them, and whatever is wrong with the machine."""
    with source.blamed():
        yield from _parquet_records(source, file) if file.format == PARQUET else _text_records(source, file)


def _text_records(source: RawSource, file: RawFile) -> Iterator[Records]:
    for block in blocks(source.chunks(), is_gzip=file.is_gzip):
        yield from from_csv(block, file.columns, file.header) if file.format == CSV else from_json(block)


def _parquet_records(source: RawSource, file: RawFile) -> Iterator[Records]:
    found = 0
    with source.blamed("the Parquet file is corrupt"), source.spooled() as spool:
        rows = open_parquet(spool)
        columns = [name for name in rows.schema_arrow.names if name.lower() in FIELDS]
        for records in from_parquet(rows.iter_batches(_PARQUET_ROWS, columns=columns)):
            found += len(records)
            yield records
    if found != file.rows:
        raise Unreadable(f"the Parquet file is corrupt: {found} rows read, its footer says {file.rows}")
