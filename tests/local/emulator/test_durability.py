"""A killed local cloud comes back with everything that it had acknowledged, and with nothing unfinished."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from local_cloud import Cloud, Json, eventually

from deployer import local
from deployer.local.emulator.private_parts import UnknownState
from deployer.local.events.invocations import pause_before_retry
from deployer.local.paths import LocalPaths
from deployer.local.state.store import StateStore

#: This query would run for minutes.
LONG_QUERY = "select count(*) from unnest(sequence(1, 9000)) a(x), unnest(sequence(1, 9000)) b(y), unnest(sequence(1, 9000)) c(z) where x * y * z % 7 = 3"
SLEEPING_SCRIPT = b"""
import subprocess, sys, time
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("begun", helper.pid, flush=True)
time.sleep(600)
"""


def make_a_bit_of_everything(cloud: Cloud, bucket: str) -> Json:
    """Make an acknowledged change in each service that the lakehouse uses; what must be there afterwards."""
    s3, glue, kinesis, logs = (cloud.client(name) for name in ("s3", "glue", "kinesis", "logs"))
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"two")
    s3.put_object(Bucket=bucket, Key="gone", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="gone")
    storage = {"Location": f"s3://{bucket}/t/", "Columns": [{"Name": "id", "Type": "string"}]}
    glue.create_database(DatabaseInput={"Name": "kept"})
    table = {"Name": "t", "PartitionKeys": [{"Name": "month", "Type": "string"}], "StorageDescriptor": storage}
    glue.create_table(DatabaseName="kept", TableInput=table)
    for month in ("2026-09", "2026-10", "2026-11"):
        entry = {"Values": [month], "StorageDescriptor": {"Location": f"s3://{bucket}/{month}/"}}
        glue.create_partition(DatabaseName="kept", TableName="t", PartitionInput=entry)
    glue.delete_partition(DatabaseName="kept", TableName="t", PartitionValues=["2026-11"])
    kinesis.create_stream(StreamName="kept", ShardCount=1)
    for batch in range(3):
        records = [{"Data": f"{batch}-{number}".encode(), "PartitionKey": "p"} for number in range(20)]
        kinesis.put_records(StreamName="kept", Records=records)
    logs.create_log_group(logGroupName="kept")
    logs.create_log_stream(logGroupName="kept", logStreamName="s")
    for number in range(3):
        event = {"timestamp": int(time.time() * 1000), "message": f"line {number}"}
        logs.put_log_events(logGroupName="kept", logStreamName="s", logEvents=[event])
    stack = cloud.deploy({"T": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "kept-topic"}}}, name="kept")
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {"first": first, "dated": dated_query(cloud, bucket)}


def dated_query(cloud: Cloud, bucket: str) -> str:
    """Run a query whose result has a date, which the emulator alone cannot save; its id."""
    athena = cloud.client("athena")
    configuration = {"ResultConfiguration": {"OutputLocation": f"s3://{bucket}/results/"}}
    athena.create_work_group(Name="kept", Configuration=configuration)
    sql = "select date '2026-01-02' as day, timestamp '2026-01-02 03:04:05' as moment"
    query_id = str(athena.start_query_execution(QueryString=sql, WorkGroup="kept")["QueryExecutionId"])

    def succeeded() -> bool:
        status = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]
        return bool(status["State"] == "SUCCEEDED")

    eventually(succeeded, seconds=10)
    return query_id


def check_everything(cloud: Cloud, bucket: str, made: Json) -> None:
    s3, glue, kinesis, logs, athena = (cloud.client(name) for name in ("s3", "glue", "kinesis", "logs", "athena"))
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"two"
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=made["first"])["Body"].read() == b"one"
    listed = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert "gone" not in listed
    partitions = glue.get_partitions(DatabaseName="kept", TableName="t")["Partitions"]
    assert [part["Values"] for part in partitions] == [["2026-09"], ["2026-10"]]
    iterator = kinesis.get_shard_iterator(
        StreamName="kept", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = kinesis.get_records(ShardIterator=iterator)["Records"]
    assert [record["Data"].decode() for record in records] == [f"{b}-{n}" for b in range(3) for n in range(20)]
    events = logs.get_log_events(logGroupName="kept", logStreamName="s", startFromHead=True)["events"]
    assert [event["message"] for event in events] == ["line 0", "line 1", "line 2"]
    stack = cloud.client("cloudformation").describe_stacks(StackName="kept")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    topics = cloud.client("sns").list_topics()["Topics"]
    assert any(topic["TopicArn"].endswith(":kept-topic") for topic in topics)
    rows = athena.get_query_results(QueryExecutionId=made["dated"])["ResultSet"]["Rows"]
    assert [value["VarCharValue"] for value in rows[1]["Data"]] == ["2026-01-02", "2026-01-02 03:04:05.000"]


def test_kill_and_clean_stop(own_cloud: Cloud) -> None:
    """Given acknowledged changes in every service and a running job, crawler and query, when the process is killed, then
    all changes are there and the three have failed with a reason. A clean stop keeps the changes, too, and stops the
    job. No process of either job is left.
    """
    bucket = own_cloud.bucket()
    made = make_a_bit_of_everything(own_cloud, bucket)
    role = f"arn:aws:iam::{'9' * 12}:role/partner"
    partner = own_cloud.client("iam", account="9" * 12)
    us = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{'0' * 12}:root"}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [us]}
    partner.create_role(RoleName="partner", AssumeRolePolicyDocument=json.dumps(trust))
    credentials = own_cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    own_cloud.client("s3").put_object(Bucket=bucket, Key="code/job.py", Body=SLEEPING_SCRIPT)
    glue = own_cloud.client("glue")
    command = {"Name": "glueetl", "ScriptLocation": f"s3://{bucket}/code/job.py"}
    glue.create_job(Name="sleeper", Role=own_cloud.role("glue"), Command=command)
    run_id = glue.start_job_run(JobName="sleeper")["JobRunId"]
    eventually(lambda: log_lines(own_cloud, run_id), seconds=20)
    child, helper = driver_of(run_id), helper_of(own_cloud, run_id)
    assert child is not None
    glue.create_crawler(
        Name="cut",
        Role=own_cloud.role("glue"),
        DatabaseName="gone",
        Targets={"S3Targets": [{"Path": f"s3://{bucket}/"}]},
        SchemaChangePolicy={"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"},
    )
    query = own_cloud.client("athena").start_query_execution(QueryString=LONG_QUERY, WorkGroup="kept")
    glue.start_crawler(Name="cut")

    own_cloud.kill()
    eventually(lambda: not Path(f"/proc/{child}").exists(), seconds=5)
    own_cloud.restart()
    assert not is_running(helper)

    check_everything(own_cloud, bucket, made)
    run = own_cloud.client("glue").get_job_run(JobName="sleeper", RunId=run_id)["JobRun"]
    assert run["JobRunState"] == "FAILED"
    assert "the local cloud was stopped" in run["ErrorMessage"]
    status = own_cloud.client("athena").get_query_execution(QueryExecutionId=query["QueryExecutionId"])
    assert status["QueryExecution"]["Status"]["State"] == "FAILED"
    assert "the local cloud was stopped" in status["QueryExecution"]["Status"]["StateChangeReason"]
    crawler = own_cloud.client("glue").get_crawler(Name="cut")["Crawler"]
    assert (crawler["State"], crawler["LastCrawl"]["Status"]) == ("READY", "FAILED")
    assert "the local cloud was stopped" in crawler["LastCrawl"]["ErrorMessage"]
    second_run = own_cloud.client("glue").start_job_run(JobName="sleeper")["JobRunId"]
    assert second_run != run_id
    eventually(lambda: log_lines(own_cloud, second_run), seconds=20)
    helper = helper_of(own_cloud, second_run)
    identity = own_cloud.client("sts", session=credentials).get_caller_identity()
    assert identity["Account"] == "9" * 12

    assert local.stop(own_cloud.project_dir)
    assert driver_of(second_run) is None
    assert not is_running(helper)
    own_cloud.restart()
    run = own_cloud.client("glue").get_job_run(JobName="sleeper", RunId=second_run)["JobRun"]
    assert (run["JobRunState"], "ErrorMessage" in run, "CompletedOn" in run) == ("STOPPED", False, True)
    check_everything(own_cloud, bucket, made)


def log_lines(cloud: Cloud, run_id: str) -> list[str]:
    """What a run has printed so far; nothing before its log exists."""
    logs = cloud.client("logs")
    try:
        events = logs.get_log_events(logGroupName="/aws-glue/jobs/output", logStreamName=f"{run_id}-driver")["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"] for event in events]


def driver_of(run_id: str) -> int | None:
    """The process of a job run (Linux)."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if run_id in (process / "cmdline").read_text(encoding="utf-8", errors="replace"):
                return int(process.name)
        except OSError:
            continue
    return None


def helper_of(cloud: Cloud, run_id: str) -> int:
    """The process that the run's driver has started in a session of its own."""
    return int(log_lines(cloud, run_id)[0].removeprefix("begun "))


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


TELLS_ITS_ATTEMPTS = """
import json, time, boto3
s3 = boto3.client("s3")

def handle(event, context):
    asked = json.loads(event["Records"][0]["Sns"]["Message"]) if "Records" in event else event
    name, bucket = asked["name"], asked["bucket"]
    before = s3.list_objects_v2(Bucket=bucket, Prefix=name + "/")["KeyCount"]
    s3.put_object(Bucket=bucket, Key=f"{name}/{before + 1}", Body=b"")
    if name == "fails":
        raise ValueError("no")
    if name == "slow" and not before:
        time.sleep(600)
"""


def reported(cloud: Cloud, group: str) -> bool:
    """Whether an invocation has ended."""
    events = cloud.client("logs").filter_log_events(logGroupName=group)["events"]
    return any(event["message"].startswith("REPORT") for event in events)


def test_an_accepted_invocation_outlives_a_kill(own_cloud: Cloud) -> None:
    """Given a running function and one whose first attempt has failed, when the process is killed, then the first is
    invoked again, and the other for its remaining attempts, after which its event is in the queue.
    """
    bucket, arn = own_cloud.bucket(), own_cloud.function(TELLS_ITS_ATTEMPTS)
    group = f"/aws/lambda/{arn.rpartition(':')[2]}"
    own_cloud.client("logs").create_log_group(logGroupName=group)
    sqs, sns = own_cloud.client("sqs"), own_cloud.client("sns")
    queue = sqs.create_queue(QueueName="outlived")["QueueUrl"]
    dead = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    destination = {"OnFailure": {"Destination": dead}}
    own_cloud.client("lambda").put_function_event_invoke_config(FunctionName=arn, DestinationConfig=destination)
    topic = sns.create_topic(Name="outlived")["TopicArn"]
    own_cloud.permit(arn, "sns", topic)
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)

    def attempts(name: str) -> int:
        return int(own_cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{name}/")["KeyCount"])

    asked = json.dumps({"name": "slow", "bucket": bucket})
    own_cloud.client("lambda").invoke(FunctionName=arn, InvocationType="Event", Payload=asked)
    eventually(lambda: attempts("slow") == 1, seconds=10)
    sns.publish(TopicArn=topic, Message=json.dumps({"name": "fails", "bucket": bucket}))
    eventually(lambda: attempts("fails") == 1, seconds=10)
    eventually(lambda: reported(own_cloud, group), seconds=10)
    time.sleep(0.2)  # it has failed, and waits a second for its second attempt

    own_cloud.kill()
    own_cloud.restart()

    eventually(lambda: attempts("slow") == 2, seconds=10)
    (kept,) = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"), seconds=20)
    assert json.loads(kept["Body"])["requestContext"]["condition"] == "RetriesExhausted"
    time.sleep(3)
    assert (attempts("slow"), attempts("fails")) == (2, 3)
    own_cloud.kill()
    own_cloud.restart()
    time.sleep(3)
    assert (attempts("slow"), attempts("fails")) == (2, 3)


@pytest.mark.parametrize(
    ("call", "settings", "pause"),
    [
        ({"failed": 1}, {}, 1),
        ({"failed": 2}, {}, 2),
        ({"failed": 3}, {}, None),
        ({"failed": 1}, {"MaximumRetryAttempts": 0}, None),
        ({"failed": 1, "taken_at": -30}, {"MaximumEventAgeInSeconds": 30}, None),
        ({"failed": 1, "cut": True}, {}, 60),
        ({"failed": 2, "cut": True}, {}, 120),
    ],
)
def test_how_long_a_retry_waits(call: Json, settings: Json, pause: float | None) -> None:
    """Given a failed invocation, then it is retried as often as its function says, with AWS's pauses if a kill cut it."""
    assert pause_before_retry({"cut": False, "taken_at": 0, **call}, settings, 0) == pause


def test_no_response_without_its_state(own_cloud: Cloud) -> None:
    """Given an acknowledged change, then the file already has it, without any wait."""
    database = LocalPaths.of(own_cloud.project_dir).database
    glue = own_cloud.client("glue")
    for number in range(20):
        glue.create_database(DatabaseInput={"Name": f"at_once_{number}"})
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            saved = connection.execute(
                "select count(*) from record where service = 'glue' and store = 'databases' and scope like ?",
                (f"%at_once_{number}'%",),
            ).fetchone()
        assert saved == (1,)


def test_an_object_that_cannot_be_written_is_refused(own_cloud: Cloud) -> None:
    """Given an object that cannot be written to disk, then the client gets an error, nothing is left, and a retry works."""
    bucket = own_cloud.bucket()
    directory = LocalPaths.of(own_cloud.project_dir).objects / "000000000000" / bucket
    directory.rmdir()
    directory.write_text("in the way", encoding="ascii")
    s3 = own_cloud.client("s3")
    with pytest.raises(s3.exceptions.ClientError, match="InternalError.*could not be written to disk"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    directory.unlink()
    s3.put_object(Bucket=bucket, Key="k", Body=b"one", IfNoneMatch="*")
    path = directory / "k"
    path.unlink()
    path.mkdir()
    with pytest.raises(s3.exceptions.ClientError, match="InternalError.*could not be written to disk"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"two two")
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 3


def test_a_full_disk_is_called_full(tmp_path: Path) -> None:
    """Given a full disk, when state is saved, SQLite's own error is raised; with room, everything is saved."""
    store = StateStore(tmp_path / "state.sqlite")
    records = {("athena", "executions"): {"big": "x" * 1_000_000}}
    (pages,) = store._database.execute("pragma page_count").fetchone()
    store._database.execute(f"pragma max_page_count = {pages + 1}")
    with pytest.raises(sqlite3.OperationalError) as caught:
        store.save(records)
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_FULL
    store._database.execute("pragma max_page_count = 100000")
    assert store.save(records) == 1
    assert StateStore(tmp_path / "state.sqlite").load()["athena"]["executions"] == {"big": "x" * 1_000_000}


def test_another_format_is_refused(tmp_path: Path) -> None:
    """Given state in a format that this program does not know, then it is not touched, and the error names the remedy."""
    StateStore(tmp_path / "state.sqlite")
    with sqlite3.connect(tmp_path / "state.sqlite") as connection:
        connection.execute("pragma user_version = 99")
    with pytest.raises(UnknownState, match="format 99.*dataops local reset"):
        StateStore(tmp_path / "state.sqlite")


def test_growing_lists_are_written_item_by_item(tmp_path: Path) -> None:
    """Given a list that grows, is trimmed or is rewritten, then the file follows, and only new items are written."""
    from ministack.core.responses import AccountRegionScopedDict

    store, streams = StateStore(tmp_path / "state.sqlite"), AccountRegionScopedDict()
    records: list[dict[str, Any]] = []
    streams._data["a", "r", "s"] = {"name": "s", "shards": {"0": {"records": records}}}

    def saved() -> list[str]:
        store.save({("kinesis", "streams"): streams})
        loaded = StateStore(tmp_path / "state.sqlite").load()["kinesis"]["streams"]
        return [record["SequenceNumber"] for record in loaded._data["a", "r", "s"]["shards"]["0"]["records"]]

    def add(*numbers: int) -> None:
        records.extend({"SequenceNumber": str(number), "Data": "x" * 100} for number in numbers)

    assert saved() == []
    add(1, 2, 3)
    assert saved() == ["1", "2", "3"]
    add(4)
    assert store.save({("kinesis", "streams"): streams}) == 1
    del records[:2]
    assert saved() == ["3", "4"]
    add(5)
    assert saved() == ["3", "4", "5"]
    records.insert(0, {"SequenceNumber": "0"})
    assert saved() == ["0", "3", "4", "5"]
    records.clear()
    assert saved() == []
    add(6)
    assert saved() == ["6"]
    del streams._data["a", "r", "s"]
    store.save({("kinesis", "streams"): streams})
    assert StateStore(tmp_path / "state.sqlite").load()["kinesis"]["streams"]._data == {}
    assert store.save({("kinesis", "streams"): streams}) == 0
