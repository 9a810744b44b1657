"""Runs one query in an Athena workgroup and returns its rows; finds the text of the queries that were deployed.

What the SQL says is the business of athena/, how rows are shown that of report.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from refunds_checks.athena import Row, read_rows

from deployer.errors import DataopsError, Refused
from deployer.lake.deployed_lake import Lake
from deployer.pauses import poll


class FailureKind(StrEnum):
    """Whose fault a failed query is, by Athena's ErrorCategory."""

    SYSTEM = "system"  # Athena's own: the same query may succeed next time
    USER = "user"  # the query, its tables or the rights: it fails again
    OTHER = "other"


QUERY_TIMEOUT_SECONDS = 300.0
ERROR_CATEGORIES = {1: FailureKind.SYSTEM, 2: FailureKind.USER, 3: FailureKind.OTHER}
# https://docs.aws.amazon.com/athena/latest/ug/workgroups-setting-control-limits-cloudwatch.html
CUTOFF_TEXT = "bytes scanned limit was exceeded"


class QueryFailed(DataopsError):
    """Athena did not finish a query."""

    def __init__(self, message: str, *, hint: str | None = None, kind: FailureKind = FailureKind.OTHER) -> None:
        super().__init__(message, where="athena", hint=hint)
        self.kind = kind


class QueryTimedOut(QueryFailed):
    """A query was stopped because it took too long."""


class TooManyBytes(Refused):
    """A query scanned more than whoever asked allows."""


@dataclass(frozen=True)
class QueryResult:
    """The rows of one query as Athena writes them: text, None for null. `statement` is DML, DDL or UTILITY."""

    columns: tuple[str, ...]
    rows: list[Row]
    bytes_scanned: int
    query_id: str
    types: tuple[str, ...] = ()
    statement: str = "DML"


def quoted(text: str) -> str:
    """Return text as a string literal, which is how Athena takes string parameters."""
    return "'" + text.replace("'", "''") + "'"


def run_query(
    lake: Lake,
    sql: str,
    *,
    database: str,
    parameters: Sequence[str] = (),
    timeout_seconds: float = QUERY_TIMEOUT_SECONDS,
    max_bytes: int | None = None,
) -> QueryResult:
    """Run a query in the lake's workgroup to its end. The parameters are SQL literals: strings come quoted, see `quoted`.

    Raise QueryFailed with Athena's reason, QueryTimedOut (after stopping the query) when the time is up, and
    TooManyBytes when it scanned more than `max_bytes`: it is stopped as soon as Athena says so.
    """
    athena = lake.athena
    request: dict[str, Any] = {"ExecutionParameters": list(parameters)} if parameters else {}
    try:
        started = athena.start_query_execution(
            QueryString=sql, QueryExecutionContext={"Database": database}, WorkGroup=lake.workgroup, **request
        )
    except athena.exceptions.InvalidRequestException as error:
        raise QueryFailed(
            f"the query was refused: {error.response['Error']['Message']}", kind=FailureKind.USER
        ) from error
    query_id = started["QueryExecutionId"]
    execution = _finished(athena, query_id, timeout_seconds, max_bytes)
    _require_success(execution, query_id)
    statement = str(execution.get("StatementType", "DML"))
    columns, types, rows = read_rows(athena, query_id, has_header=statement == "DML")
    return QueryResult(columns, rows, _scanned(execution), query_id, types, statement)


def _scanned(execution: Mapping[str, Any]) -> int:
    return int(execution.get("Statistics", {}).get("DataScannedInBytes", 0))


def _finished(athena: Any, query_id: str, timeout_seconds: float, max_bytes: int | None) -> Mapping[str, Any]:
    for _ in poll(timeout_seconds, longest_pause_seconds=2.0):
        execution: Mapping[str, Any] = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        has_ended = execution["Status"]["State"] in {"SUCCEEDED", "FAILED", "CANCELLED"}
        if max_bytes is not None and _scanned(execution) > max_bytes:
            if not has_ended:
                athena.stop_query_execution(QueryExecutionId=query_id)
            raise TooManyBytes(
                f"query {query_id} scanned {_scanned(execution):,} bytes, more than the {max_bytes:,} of --max-bytes; "
                "the bytes scanned are billed",
                where="athena",
                hint="select fewer columns, or restrict the months: where month = '2026-10'",
            )
        if has_ended:
            return execution
    athena.stop_query_execution(QueryExecutionId=query_id)
    raise QueryTimedOut(
        f"query {query_id} was stopped after {timeout_seconds:.0f} s",
        hint="try again; see the query in Athena's history",
    )


def _require_success(execution: Mapping[str, Any], query_id: str) -> None:
    status = execution["Status"]
    if status["State"] == "SUCCEEDED":
        return
    error = status.get("AthenaError", {})
    reason = status.get("StateChangeReason") or error.get("ErrorMessage") or "no reason given"
    kind = ERROR_CATEGORIES.get(error.get("ErrorCategory", 0), FailureKind.OTHER)
    if CUTOFF_TEXT in reason.lower():
        raise QueryFailed(
            f"query {query_id} was cancelled: {reason}",
            hint="the workgroup limits the bytes of a query: see BytesScannedCutoff of the athena stack",
            kind=FailureKind.USER,
        )
    raise QueryFailed(f"query {query_id} ended {status['State']}: {reason}", kind=kind)


def deployed_sql(lake: Lake, name: str) -> str:
    """Return the text of the named query that the release deployed into the workgroup."""
    for query in _named_queries(lake.athena, lake.workgroup):
        if query["Name"] == name:
            return str(query["QueryString"])
    hint = f"dataops deploy --env {lake.environment}"
    raise DataopsError(f"workgroup {lake.workgroup} has no query named {name}", hint=hint)


def _named_queries(athena: Any, workgroup: str) -> Iterator[Mapping[str, Any]]:
    for page in athena.get_paginator("list_named_queries").paginate(WorkGroup=workgroup):
        identifiers = page.get("NamedQueryIds", [])
        if identifiers:  # at most 50 in a page, which is what the batch call takes
            yield from athena.batch_get_named_query(NamedQueryIds=identifiers)["NamedQueries"]
