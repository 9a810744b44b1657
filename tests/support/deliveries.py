"""Random deliveries: raw objects in every format, with so few ids that versions, moves, orphans and voids are frequent."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from lakehouse import NOW
from oracle import FIELDS, Raw

TIMES = [
    datetime(2026, month, day, hour, 30, tzinfo=UTC) for month in (7, 8, 9, 10) for day in (1, 28) for hour in (0, 23)
]

HEADERS = [[*FIELDS, "note"], ["note", *reversed(FIELDS)]]
"""Only two orders of columns, because Spark plans each order separately."""


def record(random: Random) -> dict[str, Any]:
    """A transaction with few possible ids, now and then an invalid one."""
    kind = random.choice(["purchase", "purchase", "refund", "refund", "void"])
    moment = random.choice(TIMES)
    fields: dict[str, Any] = {
        "id": f"{kind[0]}{random.randrange(12)}",
        "type": random.choice([kind, kind, kind.upper(), f" {kind} "]),
        "timestamp": random.choice([f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"{moment:%Y-%m-%d %H:%M:%S}.5+10:00"]),
        "amount": random.choice(["10", "10.00", "7.5", "0.01"]),
    }
    if kind == "purchase":
        fields |= {"customer_id": f"c{random.randrange(3)}", "merchant_id": f"m{random.randrange(2)}"}
    else:
        fields["parent_id"] = f"{random.choice('pr') if kind == 'void' else 'p'}{random.randrange(14)}"
    if random.random() < 0.1:
        name = random.choice(FIELDS)
        fields[name] = random.choice(["", "?", " ", "x" * 65, "2026-02-30T00:00:00Z", "-1", "1.234"])
    return fields


def raw_objects(random: Random, how_many: int) -> list[Raw]:
    """Objects of all text formats; some share a modification time, some are delivered twice."""
    objects: list[Raw] = []
    for number in range(how_many):
        rows = [record(random) for _ in range(random.randrange(1, 9))]
        modified = NOW - timedelta(days=random.choice([0, 0, 20, 40]), seconds=random.randrange(4))
        suffix = random.choice([".json", ".jsonl.gz", ".csv", ".csv.gz", ".ndjson"])
        body = as_csv(random, rows) if "csv" in suffix else as_json(random, rows)
        if objects and random.random() < 0.2:
            copied = random.choice(objects)
            suffix, body = "." + copied.key.partition(".")[2], copied.body
        elif suffix.endswith(".gz"):
            body = gzip.compress(body, mtime=0)
        objects.append(
            Raw(f"transactions/source=s3/ingest_date={modified:%Y-%m-%d}/{number:03d}{suffix}", body, modified)
        )
    return objects


def as_json(random: Random, rows: list[dict[str, Any]]) -> bytes:
    lines = []
    for row in rows:
        line = json.dumps(row, separators=random.choice([(",", ":"), (", ", ": ")]))
        if random.random() < 0.3:
            line = line.replace(f'"{row["amount"]}"', row["amount"] or "null")
        if random.random() < 0.05:
            line = line[:-2]
        lines.append(line)
    return (random.choice(["\n", "\r\n"]).join(lines) + random.choice(["", "\n"])).encode()


def as_csv(random: Random, rows: list[dict[str, Any]]) -> bytes:
    names = random.choice(HEADERS)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", quoting=random.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    writer.writeheader()
    writer.writerows({**row, "note": 'a, "b"'} for row in rows)
    return (random.choice(["", "\ufeff"]) + text.getvalue()).encode()


def as_parquet(rows: list[dict[str, Any]], **types: pa.DataType) -> bytes:
    """Rows as a Parquet file; texts unless a column's type is given."""
    schema = pa.schema([(name, types.get(name, pa.string())) for name in FIELDS])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in FIELDS} for row in rows], schema), sink)
    return sink.getvalue()


__all__ = ["Decimal", "as_parquet", "raw_objects", "record"]
