"""Runs SQL in an Athena workgroup, all of it within one deadline.

For queries that a function and the command line both run: it needs only boto3. The command line runs a person's own
queries, with parameters and a limit of bytes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from refunds_checks.validation import Answer, CheckBroken

Names = tuple[str, ...]
Row = tuple[str | None, ...]
_PAUSE_SECONDS: Final = 0.5
_ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


@dataclass(frozen=True)
class Workgroup:
    """A workgroup and a database. `client` is boto3's; `until` is the moment of time.monotonic() at which all ends."""

    client: Any
    name: str
    database: str
    until: float

    def query(self, sql: str) -> Answer:
        """Run a statement to its end and read all its rows. Raise CheckBroken; a query that takes too long is stopped."""
        query_id = self._started(sql)
        execution = self._ended(query_id)
        status = execution["Status"]
        if status["State"] != "SUCCEEDED":
            reason = status.get("StateChangeReason", "no reason given")
            raise CheckBroken(f"query {query_id} ended {status['State']}: {reason}")
        columns, _, rows = read_rows(self.client, query_id, has_header=True)
        return Answer(columns, rows, int(execution.get("Statistics", {}).get("DataScannedInBytes", 0)))

    def _started(self, sql: str) -> str:
        try:
            started = self.client.start_query_execution(
                QueryString=sql, QueryExecutionContext={"Database": self.database}, WorkGroup=self.name
            )
        except self.client.exceptions.InvalidRequestException as error:
            raise CheckBroken(f"the query was refused: {error}") from error
        return str(started["QueryExecutionId"])

    def _ended(self, query_id: str) -> Any:
        while time.monotonic() < self.until:
            execution = self.client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            if execution["Status"]["State"] in _ENDED:
                return execution
            time.sleep(_PAUSE_SECONDS)
        self.client.stop_query_execution(QueryExecutionId=query_id)
        raise CheckBroken(f"query {query_id} was stopped because it took too long")


def read_rows(client: Any, query_id: str, *, has_header: bool) -> tuple[Names, Names, list[Row]]:
    """Return the names and the types of the columns, and the rows of all pages; a header, as a SELECT has it, is left out."""
    described: Sequence[Mapping[str, str]] = ()
    rows: list[Row] = []
    for page in client.get_paginator("get_query_results").paginate(QueryExecutionId=query_id):
        described = described or page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
        rows += [tuple(each.get("VarCharValue") for each in row.get("Data", ())) for row in page["ResultSet"]["Rows"]]
    names, types = (tuple(column[key] for column in described) for key in ("Name", "Type"))
    return names, types, rows[1:] if has_header and rows[:1] == [names] else rows
