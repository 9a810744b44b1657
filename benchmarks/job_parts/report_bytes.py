"""Report bytes: what the refund queries must read from the job's files, against other layouts of the same rows.

Deterministic sums of column chunks. refunds.sql reads ids, parents, customer and amount of three tables; the month is the
partition key and costs nothing. monthly_refunds.sql reads three columns of one month of refund_detail.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import duckdb
import full_load
import outputs
from outputs import Files
from parquet_bytes import total_bytes
from setting import Setting, bytes_below, table

ALL_TIME: Mapping[str, tuple[str, ...]] = {
    "purchase": ("id", "customer_id"),
    "refund": ("id", "parent_id", "amount"),
    "void": ("parent_id",),
}
ONE_MONTH = ("customer_id", "amount", "counted")
BILLED_AT_LEAST = 10_000_000
"""Bytes: what Athena charges for at least."""


def run(setting: Setting) -> str:
    """Load once with the job, rewrite the same rows in the other layouts, and return the comparison as text."""
    raw = setting.raw()
    lake = setting.scratch / "out-the-job"
    measured, _ = full_load.load(full_load.JOB, setting, raw)
    live = outputs.published(lake)
    month = busiest_month(live)
    others = setting.directory("layouts")
    write_other_layouts(raw, live, others, setting.threads)
    ours = all_time_bytes(live)
    three_tables_month = all_time_bytes({**live, "refund": of_month(live["refund"], month)})
    detail_month = total_bytes(of_month(live["refund_detail"], month), ONE_MONTH)
    csv, csv_months = bytes_below(others / "csv"), 3
    unpartitioned = {name: [others / f"{name}.parquet"] for name in ALL_TIME}
    least = least_bytes(live)
    rows = [
        ["**the job's tables, refunds.sql**", _mb(ours), "1.00"],
        ["raw gzip JSON Lines, three scans", _mb(3 * bytes_below(raw)), f"{3 * bytes_below(raw) / ours:.2f}"],
        ["CSV.gz, three scans", _mb(csv_months * csv), f"{csv_months * csv / ours:.2f}"],
        ["CSV.gz, one scan", _mb(csv), f"{csv / ours:.2f}"],
        [
            "Parquet snappy, unpartitioned and unsorted",
            _mb(all_time_bytes(unpartitioned)),
            _over(all_time_bytes(unpartitioned), ours),
        ],
        ["theoretical minimum of these columns", _mb(least), f"{least / ours:.2f}"],
    ]
    shutil.rmtree(others)
    return "\n".join(
        [
            f"{measured.facts['read']:,} records; stored: {_mb(total_bytes(file for files in live.values() for file in files))} MB",
            "",
            table(["all time", "MB to read", "against the job's tables"], rows),
            "",
            (
                f"One month ({month}): {_mb(detail_month, 3)} MB through refund_detail, "
                f"{_mb(three_tables_month)} MB through the three tables ({three_tables_month / detail_month:,.0f} times as much); "
                f"Athena bills {_mb(BILLED_AT_LEAST)} MB at least. "
                f"All months of refund_detail: {_mb(total_bytes(live['refund_detail'], ONE_MONTH))} MB."
            ),
            "",
            table(["column of refunds.sql", "MB"], columns_bytes(live)),
        ]
    )


def all_time_bytes(files: Files) -> int:
    """What refunds.sql must read."""
    return sum(total_bytes(files[name], columns) for name, columns in ALL_TIME.items())


def columns_bytes(files: Files) -> list[list[str]]:
    """The same, column by column."""
    return [
        [f"{name}.{column}", _mb(total_bytes(files[name], [column]))]
        for name, columns in ALL_TIME.items()
        for column in columns
    ]


def of_month(files: list[Path] | tuple[Path, ...], month: str) -> list[Path]:
    """The files of one month."""
    return [file for file in files if f"month={month}" in file.parts]


def busiest_month(files: Files) -> str:
    """The month whose report reads most."""
    months = {part for file in files["refund_detail"] for part in file.parts if part.startswith("month=")}
    return max(
        (name.removeprefix("month=") for name in sorted(months)),
        key=lambda month: total_bytes(of_month(files["refund_detail"], month), ONE_MONTH),
    )


def write_other_layouts(raw: Path, live: Files, out: Path, threads: int) -> None:
    """All records as CSV.gz in arrival order, and each table as one Parquet file with snappy in arrival order."""
    fields = "id, type, timestamp, amount, customer_id, merchant_id, parent_id"
    columns = ", ".join(f"{name.strip()}: 'varchar'" for name in fields.split(","))
    with duckdb.connect(config={"threads": threads}) as connection:
        (out / "csv").mkdir(exist_ok=True)
        connection.execute(
            f"copy (select {fields} from read_json('{raw}/**/*.json.gz', format = 'newline_delimited', ignore_errors = true, "
            f"columns = {{{columns}}})) to '{out}/csv/all.csv.gz' (format csv, header true, compression gzip)"
        )
        for name in ALL_TIME:
            paths = [str(path) for path in live[name]]
            connection.execute(
                f"copy (select * exclude (month, run) from read_parquet({paths}, hive_partitioning = true) order by timestamp) "
                f"to '{out}/{name}.parquet' (format parquet, compression snappy)"
            )


def least_bytes(files: Files) -> int:
    """What no lossless layout of these columns can go below when ids are random.

    Every id is told once (log2 of how many orders of n random 128-bit ids there are: 128 bits each less what their order
    could say); whoever repeats an id, a parent or a customer, needs a pointer of log2(n) bits; amounts need their entropy.
    """
    with duckdb.connect(config={"threads": 2}) as connection:
        for name in ALL_TIME:
            paths = [str(path) for path in files[name]]
            connection.execute(f"create view {name} as select * from read_parquet({paths})")
        purchases, refunds, voids, customers = connection.execute(
            "select (select count(*) from purchase), (select count(*) from refund), (select count(*) from void), "
            "(select count(distinct customer_id) from purchase)"
        ).fetchone() or (0, 0, 0, 0)
        (amount_bits,) = connection.execute("select entropy(amount) from refund").fetchone() or (0.0,)
    return round((least_bits(purchases, refunds, voids, customers) + refunds * amount_bits) / 8)


def least_bits(purchases: int, refunds: int, voids: int, customers: int) -> float:
    """Bits for the ids of purchases, refunds and customers, and for the pointers between them."""
    ids = sum(random_set_bits(count) for count in (purchases, refunds, customers))
    pointers = purchases * math.log2(max(customers, 2)) + (refunds + voids) * math.log2(max(purchases + refunds, 2))
    return ids + pointers


def random_set_bits(count: int) -> float:
    """Bits to tell `count` random 128-bit numbers in any order: their bits less log2(count!)."""
    return 128 * count - math.lgamma(count + 1) / math.log(2)


def _mb(size: float, digits: int = 1) -> str:
    return f"{size / 1e6:,.{digits}f}"


def _over(size: int, ours: int) -> str:
    return f"{size / ours:.2f}"
