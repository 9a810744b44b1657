"""Made-up raw deliveries for the benchmarks: an endless, deterministic stream of transactions, cut into files.

Row `i` of a stream is the same in every run, version and cut, so histories of different lengths share their beginning.
Nothing here knows an engine that reads the files.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

START = datetime(2022, 1, 1, tzinfo=UTC)
DAYS_PER_MONTH = 30.4375
REDELIVERED_PER_ROW = 0.01
LONGEST_REDELIVERY_LAG = 100_000
_SEPARATOR = "\x01"
"""A delimiter that no line contains: a line is written as a CSV row of one field, as it is."""


@dataclasses.dataclass(frozen=True)
class Stream:
    """How the transactions come: density in time, number of customers and merchants, and the seed of everything random."""

    rows_per_month: int
    customers: int = 200_000
    merchants: int = 5_000
    seed: int = 1

    @property
    def microseconds_per_row(self) -> float:
        return DAYS_PER_MONTH * 86_400_000_000 / self.rows_per_month

    def moment(self, row: int) -> datetime:
        """When row number `row` happens, give or take an hour."""
        return START + timedelta(microseconds=self.microseconds_per_row * row)


@dataclasses.dataclass(frozen=True)
class Delivery:
    """One raw file: its path below the raw prefix and the rows of the stream that it brings."""

    path: str
    first_row: int
    end_row: int


def spread_over(records: int, months: int) -> Stream:
    """A stream whose first `records` records fill so many months; one customer per 100 records."""
    rows = first_rows(records)
    return Stream(rows_per_month=math.ceil(rows / months), customers=max(10, records // 100))


def first_rows(records: int) -> int:
    """How many rows of a stream come as about so many records, redeliveries included."""
    return round(records / (1 + REDELIVERED_PER_ROW))


def deliveries(stream: Stream, first_row: int, end_row: int, *, rows_per_file: int = 250_000) -> list[Delivery]:
    """Cut the rows first_row..end_row-1 into at least four files in time order."""
    count = max(4, round((end_row - first_row) / rows_per_file))
    cuts = [first_row + (end_row - first_row) * part // count for part in range(count + 1)]
    return [
        Delivery(
            f"source=s3/ingest_date={stream.moment(end):%Y-%m-%d}/rows-{first:010d}-{end:010d}.json.gz", first, end
        )
        for first, end in itertools.pairwise(cuts)
    ]


def write(stream: Stream, files: list[Delivery], prefix: Path, *, threads: int = 2) -> None:
    """Write the files below `prefix`, each with the moment of its last row as its modification time."""
    with duckdb.connect(config={"threads": threads}) as connection:
        for file in files:
            target = prefix / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            connection.execute(
                f"copy ({lines_sql(stream, file)}) to '{target}' (format csv, header false, quote '', escape '', "
                f"delimiter '{_SEPARATOR}', compression gzip)"
            )
            delivered_at = stream.moment(file.end_row).timestamp()
            os.utime(target, (delivered_at, delivered_at))


def lines_sql(stream: Stream, file: Delivery) -> str:
    """The query whose one column holds the file's lines in order.

    Of 20 rows 16 are purchases, 3 refunds, 1 void. A refund's parent is an earlier purchase, 20 days before on average;
    a void's parent is a purchase or, in one of five, a refund, a day before on average. About 1 % of the rows come again
    later, three tenths of those with another amount. About 0.5 % are bad in one of six ways, 0.5 % of refunds are orphans.
    """
    return f"""
    with seeded as (
        select i, md5_number_lower('{stream.seed}:' || i) as a, md5_number_upper('{stream.seed}:' || i) as b
        from range({max(0, file.first_row - LONGEST_REDELIVERY_LAG - 1)}, {file.end_row}) rows(i)
    ),
    delivered as (
        select i, a, b, i as position, 0 as cents_more from seeded where i >= {file.first_row}
        union all
        select i, a, b, i + 1 + (b >> 20) % {LONGEST_REDELIVERY_LAG} as position,
            case when (b >> 40) % 10 < 3 then 1 else 0 end as cents_more
        from seeded
        where (a >> 3) % 100 = 7 and i + 1 + (b >> 20) % {LONGEST_REDELIVERY_LAG} between {file.first_row} and {file.end_row - 1}
    ),
    timed as (
        select *,
            i % 20 as slot,
            ((a >> 8) % 1000003 + 1) / 1000004.0 as chance,
            case when i % 20 = 19 then 1 else 20 end * 86400e6 / {stream.microseconds_per_row!r} as mean_lag_rows,
            timestamp '{START:%Y-%m-%d}'
                + to_milliseconds(cast(i * {stream.microseconds_per_row / 1000!r} as bigint) - cast(b % 3600000 as bigint)
                + 3600000) as moment
        from delivered
    ),
    related as (
        select *, case when aimed_at >= 0 then aimed_at else cast(a % (i + 1) as bigint) end // 20 * 20 as parent_group
        from (select *, i - 1 - cast(-ln(chance) * mean_lag_rows as bigint) as aimed_at from timed)
    ),
    fields as (
        select i, position, slot, cents_more,
            case when b % 200 = 13 then (b >> 8) % 6 else -1 end as fault,
            cast(md5('{stream.seed}:id:' || i) as uuid) as id,
            case when slot < 16 then 'purchase' when slot < 19 then 'refund' else 'void' end as type,
            strftime(moment, '%Y-%m-%dT%H:%M:%S.%gZ') as moment,
            100 + (a >> 28) % 50000 + cents_more as cents,
            cast(md5('{stream.seed}:customer:' || (a >> 12) % {stream.customers}) as uuid) as customer_id,
            cast(md5('{stream.seed}:merchant:' || (b >> 12) % {stream.merchants}) as uuid) as merchant_id,
            cast(md5('{stream.seed}:id:' || case
                when slot between 16 and 18 and (b >> 50) % 200 = 3 then 'nowhere'
                else '' end || (parent_group + case
                when slot = 19 and (b >> 33) % 5 = 0 then 16 + (b >> 4) % 3
                else (b >> 4) % 16 end)) as uuid) as parent_id
        from related
    ),
    lines as (
        select i, position, fault, cents_more,
            '{{' || case when fault = 0 then '' else '"id":"' || id || '",' end
            || '"type":"' || case when fault = 1 then 'chargeback' else type end
            || '","timestamp":"' || case when fault = 2 then 'yesterday' else moment end
            || '","amount":"' || case fault when 3 then '-' else '' end || cents // 100
            || case fault when 4 then ',' else '.' end || lpad(cast(cents % 100 as varchar), 2, '0')
            || case
                when slot < 16 then '","customer_id":"' || customer_id || '","merchant_id":"' || merchant_id
                else '","parent_id":"' || parent_id end
            || '"}}' as line
        from fields
    )
    select case when fault = 5 then substr(line, 1, 60) else line end as line
    from lines
    order by position, i, cents_more"""
