"""The rival in DuckDB: raw gzip JSON Lines to the same tables, in one process and in memory.

Parses, validates by every rule of the record contract that JSON Lines can break, keeps rejected lines with all their
reasons, lets the last version of an id win, splits by type and writes month by month as Parquet with zstd; `--detail` adds
refund_detail. It leaves out what a pipeline needs besides: line numbers of rejected records, tabs around values, manifests, checks of
what was written, publication. The last line of its output is JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

RAW_FIELDS = ("id", "type", "timestamp", "amount", "customer_id", "merchant_id", "parent_id")
PURCHASE = "id, timestamp, customer_id, merchant_id, amount"
CHILD = "id, timestamp, parent_id, amount"
BLANKS = "E' \\t\\r\\n'"

REASONS = {
    "not_json": "not is_json",
    "id_missing": "is_json and id is null",
    "id_too_long": "length(id) > 64",
    "type_missing": "is_json and type is null",
    "type_unknown": "type not in ('purchase', 'refund', 'void')",
    "timestamp_missing": "is_json and coalesce(timestamp_text, '') = ''",
    "timestamp_invalid": "timestamp_text != '' and timestamp is null",
    "timestamp_out_of_range": "timestamp < '2000-01-01' or timestamp >= too_late",
    "amount_missing": "is_json and coalesce(amount_text, '') = ''",
    "amount_invalid": "amount_text != '' and amount is null",
    "amount_not_positive": "amount <= 0",
    "customer_id_missing": "type = 'purchase' and customer_id is null",
    "merchant_id_missing": "type = 'purchase' and merchant_id is null",
    "parent_id_missing": "type in ('refund', 'void') and parent_id is null",
    "parent_id_too_long": "type in ('refund', 'void') and length(parent_id) > 64",
    "parent_id_present": "type = 'purchase' and parent_id is not null",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raw", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-limit", default="")
    parser.add_argument("--detail", action="store_true")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    arguments.out.mkdir(parents=True)
    settings = {"threads": arguments.threads, "temp_directory": str(arguments.out / "spill")}
    if arguments.memory_limit:
        settings["memory_limit"] = arguments.memory_limit
    with duckdb.connect(config=settings) as connection:
        facts = load(connection, arguments.raw, arguments.out, detail=arguments.detail)
    print(json.dumps(facts))


def load(connection: duckdb.DuckDBPyConnection, raw: Path, out: Path, *, detail: bool) -> dict[str, object]:
    """Fill the tables below `out` and return the counts of what was read and what became of it."""
    files = sorted(raw.rglob("*.json.gz"), key=lambda path: (path.stat().st_mtime, str(path)))
    connection.execute(
        "create temp table file (path varchar, number integer, ingested_at timestamp, source_file varchar)"
    )
    connection.executemany(
        "insert into file values (?, ?, make_timestamp(?), ?)",
        [
            (str(path), number, path.stat().st_mtime_ns // 1000, str(path.relative_to(raw)))
            for number, path in enumerate(files)
        ],
    )
    connection.execute(f"create temp table judged as {judged_sql(raw)}")
    connection.execute("create temp table dropped as " + DROPPED)
    for table, columns in (("purchase", PURCHASE), ("void", CHILD), ("refund", CHILD)):
        write(connection, STANDING.format(table=table, columns=columns), out / table)
    write(connection, REJECTED.format(reasons=reasons_sql()), out / "rejected")
    if detail:
        write(connection, DETAIL, out / "refund_detail")
    return counts(connection)


def judged_sql(raw: Path) -> str:
    """One row per line: its file, its values, whether it is a transaction, and its text when it is not."""
    fields = json.dumps(dict.fromkeys(RAW_FIELDS, "VARCHAR"))
    return f"""
    with lines as (
        select number, line, json_valid(line) and line like '{{%' as is_json
        from read_csv('{raw}/**/*.json.gz', columns = {{'line': 'VARCHAR'}}, delim = '\x01', quote = '', escape = '',
            header = false, auto_detect = false, filename = true, max_line_size = 4000000)
        inner join file on filename = path
        where line like '{{%' or trim(line, {BLANKS}) != ''
    ),
    parsed as (select number, line, is_json, case when is_json then from_json(line, '{fields}') end as record from lines),
    cleaned as (
        select number, line, is_json,
            nullif(trim(record.id), '') as id,
            nullif(lower(trim(record.type)), '') as type,
            nullif(trim(record.customer_id), '') as customer_id,
            nullif(trim(record.merchant_id), '') as merchant_id,
            nullif(trim(record.parent_id), '') as parent_id,
            record.timestamp as timestamp_text,
            record.amount as amount_text,
            case when regexp_full_match(record.timestamp,
                '\\d{{4}}-\\d\\d-\\d\\d[T ]\\d\\d:\\d\\d:\\d\\d(\\.\\d{{1,9}})?(Z|[+-]\\d\\d(:?\\d\\d)?)?')
                then try_cast(record.timestamp as timestamp) end as timestamp,
            case when regexp_full_match(record.amount, '\\d{{1,16}}(\\.\\d{{1,2}})?')
                then try_cast(record.amount as decimal(18, 2)) end as amount
        from parsed
    ),
    checked as (
        select *, coalesce(
            length(id) <= 64
            and timestamp >= timestamp '2000-01-01' and timestamp < timestamp '{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}'
            and amount > 0
            and case type
                when 'purchase' then customer_id is not null and merchant_id is not null and parent_id is null
                when 'refund' then length(parent_id) <= 64
                when 'void' then length(parent_id) <= 64
            end, false) as is_transaction
        from cleaned
    )
    select number, is_transaction, type, id, timestamp, amount, customer_id, merchant_id, parent_id,
        case when is_transaction then strftime(timestamp, '%Y-%m') end as month,
        case when not is_transaction then line end as line,
        case when not is_transaction then is_json end as is_json,
        case when not is_transaction then timestamp_text end as timestamp_text,
        case when not is_transaction then amount_text end as amount_text
    from checked"""


DROPPED = """
    with repeated as (select type, id from judged where is_transaction group by type, id having count(*) > 1),
    ranked as (
        select judged.rowid as line_number, type, id,
            (timestamp, amount, customer_id, merchant_id, parent_id) as content,
            row_number() over newest_first as place,
            first_value((timestamp, amount, customer_id, merchant_id, parent_id)) over newest_first as standing
        from judged inner join repeated using (type, id)
        where is_transaction
        window newest_first as (
            partition by type, id
            order by number desc, timestamp desc, amount desc, customer_id desc, merchant_id desc, parent_id desc
        )
    )
    select line_number, content is not distinct from standing as is_duplicate from ranked where place > 1"""
"""The records that another version of their id displaces; file numbers follow modification time and key."""

STANDING = """
    select {columns}, ingested_at, source_file, month
    from judged inner join file using (number)
    where is_transaction and type = '{table}' and judged.rowid not in (select line_number from dropped)"""

REJECTED = """
    select line as raw_text, list_filter([{reasons}], lambda reason: reason is not null) as reasons, source_file, ingested_at,
        strftime(ingested_at, '%Y-%m') as month
    from (select *, ingested_at::date::timestamp + interval 2 day as too_late from judged inner join file using (number))
    where not is_transaction"""

DETAIL = """
    with standing as (
        select * from judged where is_transaction and judged.rowid not in (select line_number from dropped)
    ),
    voided as (select distinct parent_id as id from standing where type = 'void'),
    explained as (
        select refund.id as refund_id, purchase.customer_id, purchase.merchant_id, purchase.month as purchase_month,
            refund.amount, refund.month,
            case
                when purchase.id is null then 'orphan'
                when refund.parent_id in (select id from voided) then 'voided_purchase'
                when refund.id in (select id from voided) then 'voided_refund'
                when purchase.month = refund.month then 'same_month'
            end as reason
        from (select * from standing where type = 'refund') as refund
        left join (select * from standing where type = 'purchase') as purchase on refund.parent_id = purchase.id
    )
    select refund_id, customer_id, merchant_id, purchase_month, amount, reason is null as counted, reason, month
    from explained"""


def reasons_sql() -> str:
    """The reasons of a record as list elements, null where a rule is kept."""
    return ", ".join(f"case when {rule} then '{reason}' end" for reason, rule in REASONS.items())


def write(connection: duckdb.DuckDBPyConnection, query: str, target: Path) -> None:
    """Write rows month by month as Parquet."""
    connection.execute(f"copy ({query}) to '{target}' (format parquet, compression zstd, partition_by (month))")


def counts(connection: duckdb.DuckDBPyConnection) -> dict[str, object]:
    """read = kept + duplicate + superseded + rejected."""
    row = connection.execute(
        """select (select count(*) from judged) as read,
            (select count(*) from judged where not is_transaction) as rejected,
            (select count(*) from dropped where is_duplicate) as duplicate,
            (select count(*) from dropped where not is_duplicate) as superseded"""
    ).fetchone()
    assert row is not None
    read, rejected, duplicate, superseded = row
    kept = read - rejected - duplicate - superseded
    return {"read": read, "kept": kept, "duplicate": duplicate, "superseded": superseded, "rejected": rejected}


if __name__ == "__main__":
    main()
