"""Athena's query API over the local engine: executions, workgroups' rules, results and their pages.

The records of executions are the emulator's, so that they are saved with its state; rows are only in S3, as on AWS.
engine.py runs a query. The calls for workgroups and named queries stay the emulator's.
"""

from __future__ import annotations

import contextvars
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deployer.local.athena import engine, utility
from deployer.local.athena.errors import Cancelled, MalformedQuery, QueryError
from deployer.local.athena.results import Row, csv_rows, csv_text, page
from deployer.local.athena.tables import Footers
from deployer.local.athena.types import Column, as_json, text_of
from deployer.local.athena.workgroups import Rules, Unusable, rules_of
from deployer.local.completion import LocalCloud
from deployer.local.emulator.on_loop import on_loop
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.rights.judging import Denied, caller
from deployer.local.rights.objects import ObjectRights

Data = dict[str, Any]
#: Queries that run at the same time; further ones wait in state QUEUED.
SIDE_BY_SIDE = 4
#: Results kept in memory for paging; others are read from S3 again.
KEPT_RESULTS = 16
LARGEST_PAGE = 1000


def install(cloud: LocalCloud) -> None:
    """Replace the calls around query executions."""
    athena = load("services.athena")
    for name in ("_executions", "_workgroups", "_detect_statement_type", "_parse_ddl", "_run_ddl", "_data_format"):
        require(athena, name)
    queries = Queries(athena, cloud.paths.temporary)
    replace(athena, "_start_query_execution", lambda data: queries.start(data))
    replace(athena, "_stop_query_execution", lambda data: queries.stop(data))
    replace(athena, "_get_query_execution", lambda data: queries.describe(data))
    replace(athena, "_get_query_results", lambda data: queries.results(data))
    replace(athena, "_list_query_executions", lambda data: queries.list_executions(data))


class Queries:
    """The query executions of all accounts and regions."""

    def __init__(self, athena: Any, temporary: Path) -> None:
        self._athena = athena
        self._temporary = temporary
        self._footers = Footers()
        self._running: dict[str, engine.Query] = {}
        self._slots = threading.Semaphore(SIDE_BY_SIDE)
        self._rows: OrderedDict[str, list[Row]] = OrderedDict()

    def start(self, data: Data) -> Any:
        """Answer StartQueryExecution: refuse invalid SQL and what the workgroup forbids, otherwise answer at once."""
        sql = data.get("QueryString", "").strip()
        try:
            rules = rules_of(self._athena._workgroups, data)
            kind = self._athena._detect_statement_type(sql)
            if kind == "DML":
                engine.check(sql)
            elif kind == "UTILITY":
                utility.check(sql)
        except Unusable as error:
            return self._refused(str(error))
        except MalformedQuery as error:
            return self._refused(str(error), {"AthenaErrorCode": "MALFORMED_QUERY"})
        token = data.get("ClientRequestToken")
        for known in self._athena._executions.values() if token else ():
            if known.get("_token") == token:
                if known["Query"] != sql:
                    return self._refused("Idempotent parameters do not match")
                return self._athena.json_response({"QueryExecutionId": known["QueryExecutionId"]})
        execution = new_execution(sql, kind, rules, data)
        self._athena._executions[execution["QueryExecutionId"]] = execution
        query = engine.Query(
            sql,
            execution["QueryExecutionContext"]["Database"],
            data.get("ExecutionParameters") or [],
            rules.cutoff_bytes,
            caller(),
        )
        self._running[execution["QueryExecutionId"]] = query
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._live, execution, query), daemon=True).start()
        return self._athena.json_response({"QueryExecutionId": execution["QueryExecutionId"]})

    def stop(self, data: Data) -> Any:
        """Answer StopQueryExecution: interrupt the engine; a finished query stays as it is."""
        execution = self._athena._executions.get(data.get("QueryExecutionId"))
        if execution is None:
            return self._not_found(data)
        if (query := self._running.get(execution["QueryExecutionId"])) is not None:
            query.cancel()
            _finish(execution, "CANCELLED", "Query was cancelled by user")
        return self._athena.json_response({})

    def describe(self, data: Data) -> Any:
        """Answer GetQueryExecution."""
        execution = self._athena._executions.get(data.get("QueryExecutionId"))
        if execution is None:
            return self._not_found(data)
        return self._athena.json_response({"QueryExecution": self._athena._execution_out(execution)})

    def list_executions(self, data: Data) -> Any:
        """Answer ListQueryExecutions for a workgroup, newest first, in pages."""
        workgroup = data.get("WorkGroup", "primary")
        found = [run for run in self._athena._executions.values() if run["WorkGroup"] == workgroup]
        found.sort(key=lambda run: run["Status"]["SubmissionDateTime"], reverse=True)
        begin, size = int(data.get("NextToken") or 0), int(data.get("MaxResults") or 50)
        answer: Data = {"QueryExecutionIds": [run["QueryExecutionId"] for run in found[begin : begin + size]]}
        if begin + size < len(found):
            answer["NextToken"] = str(begin + size)
        return self._athena.json_response(answer)

    def results(self, data: Data) -> Any:
        """Answer GetQueryResults with a page of the rows that are in S3."""
        execution = self._athena._executions.get(data.get("QueryExecutionId"))
        if execution is None:
            return self._not_found(data)
        state = execution["Status"]["State"]
        if state in ("QUEUED", "RUNNING"):
            return self._refused(f"Query has not yet finished. Current state: {state}")
        if state != "SUCCEEDED":
            return self._refused(f"Query did not finish successfully. Final query state: {state}")
        size = int(data.get("MaxResults") or LARGEST_PAGE)
        if not 1 <= size <= LARGEST_PAGE:
            return self._refused(f"MaxResults must be between 1 and {LARGEST_PAGE}")
        bucket, _, key = execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3://").partition("/")
        try:
            ObjectRights(caller()).require_read(bucket, key)
        except Denied as denied:
            return self._athena.error_response_json("AccessDeniedException", str(denied), 400)
        rows = self._result_rows(execution)
        if rows is None:
            return self._refused("Could not find results")
        columns = [Column(*column) for column in execution.get("_columns", [])]
        answer, following = page(
            columns, rows, header=execution["StatementType"] == "DML", begin=int(data.get("NextToken") or 0), size=size
        )
        if following is not None:
            answer["NextToken"] = str(following)
        return self._athena.json_response(answer)

    def _live(self, execution: Data, query: engine.Query) -> None:
        """Run one query from start to end, in a thread of its own."""
        with self._slots:
            if execution["Status"]["State"] == "QUEUED":
                execution["Status"]["State"] = "RUNNING"
            begun = time.monotonic()
            state, reason, error = "SUCCEEDED", "", None
            try:
                columns, rows = self._rows_of(execution, query)
                self._save(execution, columns, rows)
            except Cancelled as stopped:
                state, reason = "CANCELLED", str(stopped)
            except QueryError as failure:
                state, reason, error = "FAILED", str(failure), failure
            except Exception as failure:  # a query must end in a state, whatever fails here
                self._athena.logger.exception("query %s could not be run", execution["QueryExecutionId"])
                state, reason = "FAILED", f"GENERIC_INTERNAL_ERROR: {type(failure).__name__}: {failure}"
            milliseconds = round((time.monotonic() - begun) * 1000)
            execution["Statistics"].update(
                DataScannedInBytes=query.bytes_scanned,
                EngineExecutionTimeInMillis=milliseconds,
                TotalExecutionTimeInMillis=milliseconds,
            )
            if error is not None:
                execution["Status"]["AthenaError"] = {
                    "ErrorCategory": 2,
                    "ErrorType": error.error_type,
                    "Retryable": False,
                    "ErrorMessage": reason,
                }
            _finish(execution, state, reason)
            self._running.pop(execution["QueryExecutionId"], None)

    def _rows_of(self, execution: Data, query: engine.Query) -> tuple[list[Column], list[Row]]:
        sql, database = execution["Query"], execution["QueryExecutionContext"]["Database"]
        if execution["StatementType"] == "DML":
            result = query.run(self._footers, self._temporary)
            return list(result.columns), [tuple(text_of(value) for value in row) for row in result.rows]
        return utility.run(self._athena, sql, database)

    def _save(self, execution: Data, columns: list[Column], rows: list[Row]) -> None:
        """Write the result objects where the execution says, encrypted as it says."""
        execution["_columns"] = [[column.name, column.type, column.precision, column.scale] for column in columns]
        location = execution["ResultConfiguration"]["OutputLocation"]
        bucket, _, key = location.removeprefix("s3://").partition("/")
        if execution["StatementType"] == "DML":
            text = csv_text([column.name for column in columns], rows)
        else:
            text = "".join("\t".join(value or "" for value in row) + "\n" for row in rows)
        headers = _encryption_headers(execution["ResultConfiguration"].get("EncryptionConfiguration") or {})
        self._require(lambda rights: rights.require("s3:GetBucketLocation", bucket), location)
        for name, body in ((key, text), (f"{key}.metadata", as_json(columns))):
            self._require(lambda rights, name=name: rights.require_write(bucket, name, headers), location)  # type: ignore[misc]
            self._put(bucket, name, body.encode(), headers)
        self._keep(execution["QueryExecutionId"], rows)

    def _put(self, bucket: str, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        sent = {**headers, "content-type": "application/octet-stream", "content-length": str(len(body))}
        status, _, answer = on_loop(load("services.s3")._put_object, bucket, key, body, sent)
        if status >= 300:
            raise QueryError("OUTPUT_LOCATION", f"cannot write s3://{bucket}/{key}: {answer!r}")

    def _require(self, check: Callable[[ObjectRights], None], location: str) -> None:
        """Raise `QueryError` if `check` denies the caller what it needs at the location of the results."""
        try:
            on_loop(check, ObjectRights(caller()))
        except Denied as denied:
            raise QueryError(
                "PERMISSION_DENIED", f"Access denied when writing output to {location}: {denied}"
            ) from denied

    def _keep(self, query_id: str, rows: list[Row]) -> None:
        self._rows[query_id] = rows
        while len(self._rows) > KEPT_RESULTS:
            self._rows.popitem(last=False)

    def _result_rows(self, execution: Data) -> list[Row] | None:
        """Return the rows from memory, else from S3 (after a restart), else None."""
        query_id = execution["QueryExecutionId"]
        if query_id not in self._rows:
            bucket, _, key = execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3://").partition("/")
            body = load("services.s3")._get_object_data(bucket, key)
            if body is None:
                return None
            text = body.decode()
            if execution["StatementType"] == "DML":
                self._keep(query_id, list(csv_rows(text)[1:]))
            else:
                self._keep(query_id, [line.split("\t") for line in text.splitlines()])
        return self._rows[query_id]

    def _refused(self, message: str, extra: Data | None = None) -> Any:
        return self._athena.error_response_json("InvalidRequestException", message, 400, extra=extra or {})

    def _not_found(self, data: Data) -> Any:
        return self._refused(f"QueryExecution {data.get('QueryExecutionId')} was not found")


def new_execution(sql: str, kind: str, rules: Rules, data: Data) -> Data:
    """Return the record of a queued query; private members begin with an underscore."""
    query_id = str(uuid.uuid4())
    suffix = "csv" if kind == "DML" else "txt"
    result: Data = {"OutputLocation": f"{rules.output_location.rstrip('/')}/{query_id}.{suffix}"}
    if rules.encryption:
        result["EncryptionConfiguration"] = dict(rules.encryption)
    context = data.get("QueryExecutionContext") or {}
    execution = {
        "QueryExecutionId": query_id,
        "Query": sql,
        "StatementType": kind,
        "ResultConfiguration": result,
        "QueryExecutionContext": {
            "Database": context.get("Database", "default").lower(),
            "Catalog": context.get("Catalog", "awsdatacatalog"),
        },
        "Status": {"State": "QUEUED", "SubmissionDateTime": round(time.time(), 3)},
        "Statistics": {
            "EngineExecutionTimeInMillis": 0,
            "DataScannedInBytes": 0,
            "TotalExecutionTimeInMillis": 0,
            "QueryQueueTimeInMillis": 0,
            "ServiceProcessingTimeInMillis": 0,
        },
        "WorkGroup": rules.workgroup,
        "EngineVersion": {
            "SelectedEngineVersion": rules.engine_version,
            "EffectiveEngineVersion": "Athena engine version 3",
        },
        "_token": data.get("ClientRequestToken"),
    }
    if data.get("ExecutionParameters"):
        execution["ExecutionParameters"] = list(data["ExecutionParameters"])
    return execution


def _finish(execution: Data, state: str, reason: str) -> None:
    """Set the final state once: a cancelled query stays cancelled."""
    status = execution["Status"]
    if status["State"] not in ("SUCCEEDED", "FAILED", "CANCELLED"):
        if reason:
            status["StateChangeReason"] = reason
        status["CompletionDateTime"] = round(time.time(), 3)
        status["State"] = state


def _encryption_headers(configuration: Mapping[str, Any]) -> dict[str, str]:
    match configuration.get("EncryptionOption"):
        case "SSE_S3":
            return {"x-amz-server-side-encryption": "AES256"}
        case "SSE_KMS":
            return {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": str(configuration.get("KmsKey", "")),
            }
    return {}
