"""Athena on the local cloud follows Athena's rules: partitions, types, names, bytes, limits, errors."""

from __future__ import annotations

import datetime
import decimal
import io
import os
import uuid
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from local_cloud import Cloud, Json, Lake

from deployer.local.athena.engine import lock_down

CUTOFF_BYTES = 10_000_000
COLUMNS = {
    "id": "string",
    "timestamp": "timestamp",
    "amount": "decimal(18,2)",
    "n": "bigint",
    "reasons": "array<string>",
    "counted": "boolean",
    "ratio": "double",
    "added_later": "date",
}


def parquet(rows: list[Json]) -> bytes:
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("timestamp", pa.timestamp("us", tz="UTC")),
            ("amount", pa.decimal128(18, 2)),
            ("n", pa.int64()),
            ("reasons", pa.list_(pa.string())),
            ("counted", pa.bool_()),
            ("ratio", pa.float64()),
        ]
    )
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out, compression="zstd")
    return out.getvalue()


def row(number: int, month: int, **more: Any) -> Json:
    moment = datetime.datetime(2026, month, 3, 4, 5, 6, 789000, tzinfo=datetime.UTC)
    amount = decimal.Decimal("10.10")
    usual = {"id": f"r{number}", "timestamp": moment, "amount": amount, "n": number, "reasons": ["a", "b"]}
    return {**usual, "counted": number % 2 == 0, "ratio": number / 4, **more}


@pytest.fixture(scope="module")
def lake(local_cloud: Cloud) -> Lake:
    suffix = uuid.uuid4().hex[:8]
    made = Lake(local_cloud, f"lake_{suffix}", local_cloud.bucket("lake"), f"reports-{suffix}")
    s3, glue, athena = (local_cloud.client(name) for name in ("s3", "glue", "athena"))
    configuration = {
        "EnforceWorkGroupConfiguration": True,
        "BytesScannedCutoffPerQuery": CUTOFF_BYTES,
        "ResultConfiguration": {"OutputLocation": f"s3://{made.bucket}/results/"},
    }
    athena.create_work_group(Name=made.workgroup, Configuration=configuration)
    files = {
        "versions/1/a.parquet": [row(1, 9), row(2, 9, reasons=None, counted=None, ratio=None)],
        "versions/2/a.parquet": [row(3, 10)],
        "versions/2/b.parquet": [row(4, 10)],
        "refund/month=2026-11/unregistered.parquet": [row(5, 11)],
        "versions/2/_SUCCESS": [],
    }
    for key, rows in files.items():
        s3.put_object(Bucket=made.bucket, Key=key, Body=parquet(rows) if rows else b"")
    glue.create_database(DatabaseInput={"Name": made.database})
    columns = [{"Name": name, "Type": kind} for name, kind in COLUMNS.items()]
    table = {
        "Name": "refund",
        "PartitionKeys": [{"Name": "month", "Type": "string"}],
        "Parameters": {"classification": "parquet"},
        "StorageDescriptor": {"Location": f"s3://{made.bucket}/refund/", "Columns": columns},
    }
    glue.create_table(DatabaseName=made.database, TableInput=table)
    for month, version in (("2026-09", 1), ("2026-10", 2)):
        storage = {"Location": f"s3://{made.bucket}/versions/{version}/", "Columns": columns}
        entry = {"Values": [month], "StorageDescriptor": storage}
        glue.create_partition(DatabaseName=made.database, TableName="refund", PartitionInput=entry)
    empty = {**table, "Name": "empty"}
    glue.create_table(DatabaseName=made.database, TableInput=empty)
    return made


def test_registered_partitions_at_their_locations(lake: Lake) -> None:
    """Given partitions with locations of their own, then exactly the registered ones are read."""
    assert lake.rows("select id, month from refund order by id") == [
        ["r1", "2026-09"],
        ["r2", "2026-09"],
        ["r3", "2026-10"],
        ["r4", "2026-10"],
    ]
    assert lake.rows("select count(*) from empty") == [["0"]]


def test_stored_microseconds_are_rounded(lake: Lake) -> None:
    """Given files with microseconds, then a reader sees milliseconds, rounded half up as Trino does: the last half
    millisecond of a month is in the next one.
    """
    glue = lake.cloud.client("glue")
    found = glue.get_table(DatabaseName=lake.database, Name="refund")["Table"]["StorageDescriptor"]
    last = datetime.datetime(2026, 10, 31, 23, 59, 59, 999499, tzinfo=datetime.UTC)
    moments = [
        last,
        last + datetime.timedelta(microseconds=1),
        datetime.datetime(1969, 12, 31, 23, 59, 59, 999500, tzinfo=datetime.UTC),
    ]
    rows = [row(number, 10, timestamp=moment) for number, moment in enumerate(moments)]
    lake.cloud.client("s3").put_object(Bucket=lake.bucket, Key="fine/a.parquet", Body=parquet(rows))
    storage = {"Location": f"s3://{lake.bucket}/fine/", "Columns": found["Columns"]}
    table = {"Name": "fine", "Parameters": {"classification": "parquet"}, "StorageDescriptor": storage}
    glue.create_table(DatabaseName=lake.database, TableInput=table)
    assert lake.rows('select id, "timestamp", date_format("timestamp", \'%Y-%m\') from fine order by id') == [
        ["r0", "2026-10-31 23:59:59.999", "2026-10"],
        ["r1", "2026-11-01 00:00:00.000", "2026-11"],
        ["r2", "1970-01-01 00:00:00.000", "1970-01"],
    ]
    query = "select id from fine where \"timestamp\" = timestamp '2026-11-01 00:00:00.000'"
    assert lake.rows(query) == [["r1"]]


def test_values_and_types_as_athena_writes_them(lake: Lake) -> None:
    """Given each type of the tables, then text and metadata are Athena's; a column that only the catalog has is null."""
    execution = lake.run("select * from refund where id in ('r1', 'r2') order by id")
    athena = lake.cloud.client("athena")
    answer = athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])["ResultSet"]
    values = [[value.get("VarCharValue") for value in row["Data"]] for row in answer["Rows"]]
    assert values == [
        [*COLUMNS, "month"],
        ["r1", "2026-09-03 04:05:06.789", "10.10", "1", "[a, b]", "false", "0.25", None, "2026-09"],
        ["r2", "2026-09-03 04:05:06.789", "10.10", "2", None, None, None, None, "2026-09"],
    ]
    described = {column["Name"]: column for column in answer["ResultSetMetadata"]["ColumnInfo"]}
    assert [described[name]["Type"] for name in (*COLUMNS, "month")] == [
        "varchar",
        "timestamp",
        "decimal",
        "bigint",
        "array",
        "boolean",
        "double",
        "date",
        "varchar",
    ]
    assert (described["amount"]["Precision"], described["amount"]["Scale"]) == (18, 2)


def test_the_result_file(lake: Lake) -> None:
    """Given a finished query, then its CSV is exactly where the execution says, quoted as by Athena."""
    execution = lake.run("select id, reasons, 'say \"hi\", x' as text from refund where id in ('r1', 'r2') order by id")
    location = execution["ResultConfiguration"]["OutputLocation"]
    assert location == f"s3://{lake.bucket}/results/{execution['QueryExecutionId']}.csv"
    bucket, _, key = location.removeprefix("s3://").partition("/")
    text = lake.cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    assert text == '"id","reasons","text"\n"r1","[a, b]","say ""hi"", x"\n"r2",,"say ""hi"", x"\n'


TRINO: list[tuple[str, list[str | None]]] = [
    ("select sum(amount) from refund", ["40.40"]),
    ("select avg(amount) from refund", ["10.10"]),
    ("select amount / n from refund where id = 'r3'", ["3.37"]),
    ("select n / 2 from refund where id = 'r3'", ["1"]),
    ("select -7 / 2", ["-3"]),
    ("select n % 2 from refund where id = 'r3'", ["1"]),
    ("select count(*) from refund a, refund b where a.id = b.id", ["4"]),
    ("select date_format(timestamp, '%Y-%m') from refund where id = 'r1'", ["2026-09"]),
    ("select date_trunc('month', timestamp) from refund where id = 'r1'", ["2026-09-01 00:00:00.000"]),
    ("select cardinality(reasons) from refund where id = 'r1'", ["2"]),
    ("select reason from refund cross join unnest(reasons) as t(reason) where id = 'r1' order by 1 limit 1", ["a"]),
    ("select array_join(array_agg(id order by id), '|') from refund", ["r1|r2|r3|r4"]),
    ("select coalesce(ratio, 0) from refund where id = 'r2'", ["0.0"]),
    ("select concat('a', null)", [None]),
    ("select try_cast('x' as bigint)", [None]),
    ("select regexp_like('abc', 'b')", ["true"]),
    ("select from_iso8601_timestamp('2026-01-02T03:04:05Z')", ["2026-01-02 03:04:05.000 UTC"]),
    ("select cast(1e20 as double)", ["1.0E20"]),
    ("select max_by(id, n) from refund where month = '2026-10'", ["r4"]),
    ("with r as (select * from refund) select count(distinct month) from r", ["2"]),
    ("select id from refund where exists (select 1 from empty) union all select 'none'", ["none"]),
]


@pytest.mark.parametrize(("sql", "expected"), TRINO, ids=[sql for sql, _ in TRINO])
def test_trino_semantics(lake: Lake, sql: str, expected: list[str | None]) -> None:
    """Given Trino's arithmetic, functions and joins, then the answer is Trino's and not DuckDB's."""
    assert lake.rows(sql) == [expected]


def test_unnamed_columns(lake: Lake) -> None:
    """Given expressions without a name, then they are called _col0, _col1 by their position."""
    execution = lake.run("select count(*), id, max(n) from refund group by id")
    answer = lake.cloud.client("athena").get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    assert [value["VarCharValue"] for value in answer["ResultSet"]["Rows"][0]["Data"]] == ["_col0", "id", "_col2"]


def test_parameters(lake: Lake) -> None:
    """Given execution parameters, which are SQL expressions, then they replace the question marks."""
    assert lake.rows("select id from refund where month = ? and n > ?", "'2026-10'", "3") == [["r4"]]
    assert lake.rows("select id from refund where id = ?", "'it''s'") == []
    assert "Incorrect number of parameters: expected 2 but found 1" in lake.reason(
        "select 1 from refund where month = ? and n = ?", "'x'"
    )


FAILURES = {
    "select nope from refund": "COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved",
    "select id,\n  nope from refund": "COLUMN_NOT_FOUND: line 2:3: Column 'nope' cannot be resolved",
    "select n + 1 as k, count(*) from refund group by k": "COLUMN_NOT_FOUND: line 1:50: Column 'k'",
    "select 1 from nope": "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.{database}.nope' does not exist",
    "select 1 from other.refund": "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.other.refund' does not exist",
    "select id from refund where month = 2026": "TYPE_MISMATCH: line 1:29: Cannot apply operator: varchar = integer",
    "select id from refund where timestamp > '2026-01-01'": "TYPE_MISMATCH: line 1:29: Cannot apply operator",
    "select n / 0 from refund": "DIVISION_BY_ZERO: Division by zero",
    "select cast(id as bigint) from refund": "INVALID_CAST_ARGUMENT: Cannot cast 'r1' to",
    "select no_such_function(id) from refund": "FUNCTION_NOT_FOUND: Function 'no_such_function' not registered",
    "insert into refund values ('x')": "NOT_SUPPORTED: the local cloud does not run INSERT statements",
    "create table copy as select 1 as a": "NOT_SUPPORTED",
    "select * from read_text('/etc/hostname')": "FUNCTION_NOT_FOUND: Table function 'READ_TEXT' not registered",
}


@pytest.mark.parametrize("sql", FAILURES)
def test_errors_in_athenas_words(lake: Lake, sql: str) -> None:
    """Given a wrong query, then it fails with Athena's code, position and words, or is refused by name."""
    assert lake.reason(sql).lower().startswith(FAILURES[sql].format(database=lake.database).lower())


@pytest.mark.parametrize(
    "sql",
    ["select content from read_text('/etc/hostname')", "select * from '/etc/hostname'", "select * from glob('/*')"],
)
def test_no_local_files(lake: Lake, sql: str) -> None:
    """Given SQL that names files of this machine, then it never succeeds."""
    try:
        assert lake.run(sql)["Status"]["State"] == "FAILED"
    except ClientError as refused:
        assert "InvalidRequestException" in str(refused)


def test_the_engine_opens_nothing_else(tmp_path: Path) -> None:
    """Given a connection that is restricted to its files, then it reads no others, and the restriction cannot be lifted."""
    mine, other = tmp_path / "mine.csv", tmp_path / "other.csv"
    for file in (mine, other):
        file.write_text("1\n", encoding="ascii")
    with duckdb.connect(":memory:") as connection:
        lock_down(connection, [str(mine)])
        assert connection.execute(f"select * from read_csv('{mine}', header = false)").fetchall() == [(1,)]
        for sql in (
            f"select * from read_csv('{other}')",
            "select * from read_text('/etc/hostname')",
            f"copy (select 1) to '{tmp_path}/out.csv'",
            f"attach '{tmp_path}/x.duckdb'",
            "set enable_external_access = true",
            "set allowed_paths = ['/etc/hostname']",
            "install httpfs",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)


@pytest.mark.parametrize("sql", ["selec 1", "select from where", "select 1 1", "select 1; select 2"])
def test_no_sql_is_refused_at_once(lake: Lake, sql: str) -> None:
    """Given text that is not SQL, then StartQueryExecution itself refuses it."""
    with pytest.raises(ClientError, match="InvalidRequestException"):
        lake.start(sql)


def test_bytes_scanned(lake: Lake) -> None:
    """Given footers, then the scanned bytes are those of the needed columns in the needed partitions."""

    def scanned(sql: str) -> int:
        return int(lake.run(sql)["Statistics"]["DataScannedInBytes"])

    def chunk_bytes(version: int, *columns: str) -> int:
        s3, total = lake.cloud.client("s3"), 0
        for found in s3.list_objects_v2(Bucket=lake.bucket, Prefix=f"versions/{version}/")["Contents"]:
            if found["Key"].endswith(".parquet"):
                body = s3.get_object(Bucket=lake.bucket, Key=found["Key"])["Body"].read()
                group = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0)
                chunks = [group.column(number) for number in range(group.num_columns)]
                total += sum(c.total_compressed_size for c in chunks if c.path_in_schema.split(".")[0] in columns)
        return total

    both = [chunk_bytes(1, "id", "amount"), chunk_bytes(2, "id", "amount")]
    assert scanned("select id, amount from refund") == sum(both) > 0
    assert scanned("select id, amount from refund where month = '2026-10'") == both[1]
    assert scanned("select id, amount from refund where month between '2026-09' and '2026-09'") == both[0]
    assert scanned("with r as (select * from refund) select id, amount from r where month < '2026-10'") == both[0]
    assert scanned("select a.id, b.amount from refund a join refund b on a.n = b.n where b.month = '2026-10'") == (
        chunk_bytes(1, "id", "n") + chunk_bytes(2, "id", "n") + chunk_bytes(2, "amount", "n")
    )
    assert scanned("select a.id from refund a left join refund b on a.id = b.id where b.month is null") == (
        2 * (chunk_bytes(1, "id") + chunk_bytes(2, "id"))
    )
    assert scanned("select reasons from refund where month = '2026-10'") == chunk_bytes(2, "reasons")
    assert scanned("select count(*) from refund") == 0
    assert scanned("select month from refund") == 0
    assert scanned("select id from refund where month = '1999-01'") == 0


def test_the_cutoff(lake: Lake) -> None:
    """Given a query that needs more than the workgroup allows, then it is cancelled before it reads."""
    payload = pa.table({"id": ["x"] * 11, "payload": [os.urandom(CUTOFF_BYTES // 10) for _ in range(11)]})
    out = io.BytesIO()
    pq.write_table(payload, out)
    lake.cloud.client("s3").put_object(Bucket=lake.bucket, Key="big/a.parquet", Body=out.getvalue())
    columns = [{"Name": "id", "Type": "string"}, {"Name": "payload", "Type": "binary"}]
    storage = {"Location": f"s3://{lake.bucket}/big/", "Columns": columns}
    table = {"Name": "big", "Parameters": {"classification": "parquet"}, "StorageDescriptor": storage}
    lake.cloud.client("glue").create_table(DatabaseName=lake.database, TableInput=table)
    execution = lake.run("select * from big")
    assert execution["Status"]["State"] == "CANCELLED"
    assert "Bytes scanned limit was exceeded" in execution["Status"]["StateChangeReason"]
    assert execution["Statistics"]["DataScannedInBytes"] > CUTOFF_BYTES
    assert lake.rows("select count(id) from big") == [["11"]]


def test_workgroups_rule(lake: Lake) -> None:
    """Given an enforcing workgroup, then the client's location is ignored; an unknown or disabled one refuses the query."""
    elsewhere = {"OutputLocation": f"s3://{lake.bucket}/elsewhere/"}
    enforced = lake.run("select 1", ResultConfiguration=elsewhere)
    assert enforced["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{lake.bucket}/results/")
    with pytest.raises(ClientError, match="is not found"):
        lake.start("select 1", WorkGroup="nope")
    with pytest.raises(ClientError, match="No output location provided"):
        lake.start("select 1", WorkGroup="primary")
    own = lake.run("select 1", WorkGroup="primary", ResultConfiguration=elsewhere)
    assert own["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{lake.bucket}/elsewhere/")
    athena = lake.cloud.client("athena")
    athena.update_work_group(WorkGroup=lake.workgroup, State="DISABLED")
    try:
        with pytest.raises(ClientError, match="is disabled"):
            lake.start("select 1")
    finally:
        athena.update_work_group(WorkGroup=lake.workgroup, State="ENABLED")


def test_pages_of_results(lake: Lake) -> None:
    """Given MaxResults, then the header counts as a row, and the pages together have everything once."""
    execution = lake.run("select x from unnest(sequence(1, 25)) as t(x) order by x")
    athena, query_id = lake.cloud.client("athena"), execution["QueryExecutionId"]
    first = athena.get_query_results(QueryExecutionId=query_id, MaxResults=10)
    assert len(first["ResultSet"]["Rows"]) == 10
    pages = athena.get_paginator("get_query_results").paginate(
        QueryExecutionId=query_id, PaginationConfig={"PageSize": 10}
    )
    values = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
    assert values == ["x", *(str(number) for number in range(1, 26))]
    with pytest.raises(ClientError, match="MaxResults"):
        athena.get_query_results(QueryExecutionId=query_id, MaxResults=1001)


def test_stop_interrupts_the_engine(lake: Lake) -> None:
    """Given a query that would run for minutes, when it is stopped, then it is cancelled and its slot is free again."""
    long = "select count(*) from unnest(sequence(1, 9000)) a(x), unnest(sequence(1, 9000)) b(y), unnest(sequence(1, 9000)) c(z) where x * y * z % 7 = 3"
    query_ids = [lake.start(long) for _ in range(4)]
    athena = lake.cloud.client("athena")
    for query_id in query_ids:
        athena.stop_query_execution(QueryExecutionId=query_id)
    assert {lake.finished(query_id)["Status"]["State"] for query_id in query_ids} == {"CANCELLED"}
    assert lake.rows("select 1") == [["1"]]
    with pytest.raises(ClientError, match="Final query state: CANCELLED"):
        athena.get_query_results(QueryExecutionId=query_ids[0])


def test_the_request_token(lake: Lake) -> None:
    """Given the same token again, then it is the same execution; with other SQL it is refused."""
    token = uuid.uuid4().hex
    first = lake.start("select 1", ClientRequestToken=token)
    assert lake.start("select 1", ClientRequestToken=token) == first
    with pytest.raises(ClientError, match="Idempotent parameters do not match"):
        lake.start("select 2", ClientRequestToken=token)


def test_show(lake: Lake) -> None:
    """Given SHOW statements, then they show what the catalog has, without a header row."""
    athena = lake.cloud.client("athena")

    def shown(sql: str) -> list[str]:
        rows = athena.get_query_results(QueryExecutionId=lake.run(sql)["QueryExecutionId"])["ResultSet"]["Rows"]
        return [row["Data"][0]["VarCharValue"] for row in rows]

    assert shown("show tables") == sorted({"empty", "refund"} | set(shown("show tables")) & {"big", "fine"})
    assert shown(f"SHOW PARTITIONS {lake.database}.refund") == ["month=2026-09", "month=2026-10"]
    assert lake.database in shown("show databases")
    assert shown("show columns in refund")[-1] == "month"
