"""The record contract as a table, for whoever judges records: the job with Arrow, others in plain Python.

Which fields there are and how files come. Knows neither pyarrow nor Spark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final = ("id", "type", "timestamp", "amount", "customer_id", "merchant_id", "parent_id")
REQUIRED: Final = FIELDS[:4]
"""Columns that a CSV or Parquet file must have; the others matter to some of the types only."""
IDS: Final = ("id", "customer_id", "merchant_id", "parent_id")
"""The fields that must be texts; numbers or lists there are named as such."""
BLANKS: Final = " \t\r\n"

JSON, CSV, PARQUET = "json", "csv", "parquet"
FORMATS: Final[Mapping[str, str]] = {
    ".json": JSON,
    ".jsonl": JSON,
    ".ndjson": JSON,
    ".json.gz": JSON,
    ".jsonl.gz": JSON,
    ".ndjson.gz": JSON,
    ".csv": CSV,
    ".csv.gz": CSV,
    ".parquet": PARQUET,
}
"""Suffix of a raw file -> how it is read."""
