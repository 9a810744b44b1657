"""In-memory stand-ins for Athena, Glue, CloudWatch Logs and S3, with words for what a test wants to happen.

They know only what the deployer calls; the tests of the local cloud check how AWS itself answers.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError
from repository import ROOT

from deployer.lake.deployed_lake import Lake, lake_from

OUTPUTS = {
    "ArtifactsBucketName": "artifacts",
    "RawBucketName": "raw",
    "BaseBucketName": "base",
    "BaseDatabaseName": "refunds_base_test",
    "SmokeDatabaseName": "refunds_smoke_test",
    "BasePrefix": "base/",
    "SmokePrefix": "smoke/",
    "BaseTablesJobName": "base-tables",
    "JobLogGroupPrefix": "/job",
    "ReviewJobName": "review",
    "ReviewLogGroupPrefix": "/review",
    "ValidationLogGroupName": "/validation",
    "WorkGroupName": "reports",
    "TransactionStreamName": "transactions",
    "DropPrefix": "transactions/source=s3/",
}


class EntityNotFound(ClientError):
    """Glue does not have it."""


class ConcurrentRuns(ClientError):
    """The job is already running."""


class InvalidRequest(ClientError):
    """Athena refuses to start the query."""


class NoLogGroup(ClientError):
    """The log group does not exist yet."""


def client_error(kind: type[ClientError], code: str, message: str = "") -> ClientError:
    """Build an error as botocore raises it."""
    return kind({"Error": {"Code": code, "Message": message}}, "operation")


@dataclass(frozen=True)
class Failure:
    """How a query ends when it does not succeed."""

    reason: str
    category: int = 2
    state: str = "FAILED"


Rows = list[tuple[str | None, ...]]


@dataclass
class FakeAthena:
    """Athena with two named queries; `results` maps (database, query or month) to rows or a failure."""

    results: dict[tuple[str, str], Rows | Failure] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=lambda: {"refunds": "all time", "monthly_refunds": "one month"})
    columns: Sequence[str] = ("customer_id", "total_refund")
    types: Mapping[str, str] = field(default_factory=lambda: {"total_refund": "decimal"})
    page_size: int = 1000
    started: list[dict[str, Any]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    polls_until_done: int = 0
    exceptions: Any = field(default_factory=lambda: SimpleNamespace(InvalidRequestException=InvalidRequest))

    def start_query_execution(self, **request: Any) -> dict[str, str]:
        self.started.append(request)
        return {"QueryExecutionId": str(len(self.started) - 1)}

    def get_query_execution(self, QueryExecutionId: str) -> dict[str, Any]:
        if self.polls_until_done:
            self.polls_until_done -= 1
            return {"QueryExecution": {"Status": {"State": "RUNNING"}}}
        result = self._result(QueryExecutionId)
        status: dict[str, Any] = {"State": "SUCCEEDED"}
        if isinstance(result, Failure):
            status = {
                "State": result.state,
                "StateChangeReason": result.reason,
                "AthenaError": {"ErrorCategory": result.category},
            }
        statistics = {"DataScannedInBytes": 1234}
        return {"QueryExecution": {"Status": status, "Statistics": statistics, "StatementType": "DML"}}

    def get_query_results(self, QueryExecutionId: str) -> dict[str, Any]:
        return next(self._get_query_results(QueryExecutionId))

    def stop_query_execution(self, QueryExecutionId: str) -> None:
        self.stopped.append(QueryExecutionId)

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=getattr(self, f"_{operation}"))

    def batch_get_named_query(self, NamedQueryIds: Sequence[str]) -> dict[str, Any]:
        return {"NamedQueries": [{"Name": name, "QueryString": self.named[name]} for name in NamedQueryIds]}

    def _list_named_queries(self, WorkGroup: str) -> Iterator[dict[str, Any]]:
        for name in self.named:
            yield {"NamedQueryIds": [name]}
        yield {}

    def _get_query_results(self, QueryExecutionId: str) -> Iterator[dict[str, Any]]:
        found = self._result(QueryExecutionId)
        assert not isinstance(found, Failure)
        rows = [tuple(self.columns), *found]
        metadata = {"ColumnInfo": [{"Name": name, "Type": self.types.get(name, "varchar")} for name in self.columns]}
        for first in range(0, len(rows), self.page_size):
            page = rows[first : first + self.page_size]
            data = [{"Data": [{} if v is None else {"VarCharValue": v} for v in row]} for row in page]
            yield {"ResultSet": {"Rows": data, "ResultSetMetadata": metadata}}

    def _result(self, query_id: str) -> Rows | Failure:
        request = self.started[int(query_id)]
        parameters = request.get("ExecutionParameters") or [""]
        asked = parameters[0].strip("'") or request["QueryString"]
        return self.results.get((request["QueryExecutionContext"]["Database"], asked), [])


@dataclass
class FakeGlue:
    """Glue with any job that is named; `ends` are the outcomes of the next runs, one after the other.

    `frees_late` is how often it refuses a start although no run is active.
    """

    ends: list[dict[str, Any]] = field(default_factory=list)
    on_start: Callable[[str, Mapping[str, str]], None] = lambda run_id, arguments: None
    runs: list[dict[str, Any]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    frees_late: int = 0
    polls_until_done: int = 1
    on_poll: Callable[[], None] = lambda: None
    asked: int = 0
    exceptions: Any = field(
        default_factory=lambda: SimpleNamespace(
            ConcurrentRunsExceededException=ConcurrentRuns, EntityNotFoundException=EntityNotFound
        )
    )

    def is_running_already(self, run_id: str) -> None:
        """Make a run active that somebody else has started."""
        self.runs.append({"Id": run_id, "JobRunState": "RUNNING", "StartedOn": "0", "polls": 1, "end": {}})

    def start_job_run(self, JobName: str, Arguments: Mapping[str, str]) -> dict[str, str]:
        is_active = any(run["JobRunState"] == "RUNNING" for run in self.runs)
        if is_active or self.frees_late:
            self.frees_late -= not is_active
            raise client_error(ConcurrentRuns, "ConcurrentRunsExceededException")
        run_id = f"jr_{len(self.runs):08}"
        end = self.ends.pop(0) if self.ends else {}
        self.runs.append(
            {
                "Id": run_id,
                "JobName": JobName,
                "JobRunState": "RUNNING",
                "StartedOn": str(len(self.runs)),
                "Arguments": Arguments,
                "polls": self.polls_until_done,
                "end": end,
            }
        )
        self.on_start(run_id, Arguments)
        return {"JobRunId": run_id}

    def get_job_run(self, JobName: str, RunId: str) -> dict[str, Any]:
        self.asked += 1
        for run in self.runs:
            if run["Id"] == RunId and run.get("JobName", JobName) == JobName:
                if run["polls"] == 0 and run["JobRunState"] == "RUNNING":
                    run.update({"JobRunState": "SUCCEEDED", "ExecutionTime": 7, **run["end"]})
                run["polls"] -= 1
                if self.asked > 1:
                    self.on_poll()
                return {"JobRun": run}
        raise client_error(EntityNotFound, "EntityNotFoundException")

    def get_job_runs(self, JobName: str, MaxResults: int) -> dict[str, Any]:
        runs = [run for run in self.runs if run.get("JobName", JobName) == JobName]
        return {"JobRuns": runs[:MaxResults]}

    def batch_stop_job_run(self, JobName: str, JobRunIds: Sequence[str]) -> None:
        self.stopped += JobRunIds
        for run in self.runs:
            if run["Id"] in JobRunIds:
                run["JobRunState"] = "STOPPED"


@dataclass
class FakeLogs:
    """CloudWatch Logs: (group, milliseconds, text), all of one stream."""

    events: list[tuple[str, int, str]] = field(default_factory=list)
    missing: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    refuses: bool = False
    on_read: Callable[[], None] = lambda: None
    exceptions: Any = field(default_factory=lambda: SimpleNamespace(ResourceNotFoundException=NoLogGroup))

    def get_paginator(self, operation: str) -> Any:
        assert operation == "filter_log_events"
        return SimpleNamespace(paginate=self._filter)

    def _filter(self, logGroupName: str, startTime: int, logStreamNamePrefix: str = "") -> Iterator[dict[str, Any]]:
        self.asked.append(logGroupName)
        if self.refuses:
            raise client_error(ClientError, "AccessDeniedException", "no right to logs")
        if logGroupName in self.missing:
            raise client_error(NoLogGroup, "ResourceNotFoundException")
        for number, (group, time, text) in enumerate(self.events):
            if group == logGroupName and time >= startTime:
                yield {"events": [{"eventId": str(number), "timestamp": time, "message": text}]}
        self.on_read()


@dataclass
class FakeS3:
    """Buckets as a mapping of (bucket, key) to bytes; `failures` are raised by the next writes."""

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)
    exceptions: Any = field(default_factory=lambda: SimpleNamespace(ClientError=ClientError))

    def put_object(self, Bucket: str, Key: str, Body: Any, **conditions: Any) -> dict[str, str]:
        if self.failures:
            raise self.failures.pop(0)
        self.objects[Bucket, Key] = Body if isinstance(Body, bytes) else Body.read()
        return {"ETag": '"etag"'}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.objects[Bucket, Key]), "ETag": '"etag"'}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_objects_v2"
        return SimpleNamespace(paginate=self._list)

    def _list(self, Bucket: str, Prefix: str, StartAfter: str = "") -> Iterator[dict[str, Any]]:
        from datetime import UTC, datetime

        keys = sorted(key for bucket, key in self.objects if bucket == Bucket and key.startswith(Prefix))
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        entries = [
            {"Key": key, "ETag": '"etag"', "LastModified": moment, "Size": len(self.objects[Bucket, key])}
            for key in keys
            if key > StartAfter
        ]
        yield {"Contents": entries}


@dataclass
class FakeSession:
    """A session whose clients are the fakes."""

    athena: FakeAthena = field(default_factory=FakeAthena)
    glue: FakeGlue = field(default_factory=FakeGlue)
    logs: FakeLogs = field(default_factory=FakeLogs)
    s3: FakeS3 = field(default_factory=FakeS3)
    environment: Any = field(
        default_factory=lambda: SimpleNamespace(name="test", parameters={}, partner=None, expected_every_hours={})
    )
    project: Any = field(default_factory=lambda: SimpleNamespace(directory=ROOT))

    def client(self, service: str) -> Any:
        return getattr(self, service)

    @property
    def lake(self) -> Lake:
        """The deployed lake behind these fakes."""
        return lake_from(self.environment.name, OUTPUTS, self.client)
