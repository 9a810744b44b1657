"""StartJobRun runs the deployed script on Spark as Glue would; only two tests here start a JVM."""

from __future__ import annotations

import io
import json
import threading
import uuid
import zipfile

import pytest
from botocore.exceptions import ClientError
from local_cloud import Cloud, Jobs, Json, eventually

#: What our jobs do: read s3:// objects, write a new prefix, list it with boto3, point a partition at it.
SPARK_SCRIPT = """
import argparse, sys, time
import boto3
from pyspark.sql import SparkSession, functions as F
from library import label

parser = argparse.ArgumentParser()
parser.add_argument("--bucket")
known, _ = parser.parse_known_args()
base = f"s3://{known.bucket}"
spark = SparkSession.builder.getOrCreate()
print("label", label(), "zone", spark.conf.get("spark.sql.session.timeZone"))
s3, glue = boto3.client("s3"), boto3.client("glue")
listed = [found["Key"] for found in s3.list_objects_v2(Bucket=known.bucket, Prefix="in/")["Contents"]]
rows = spark.read.schema("id string, amount decimal(18,2)").json([f"{base}/{key}" for key in listed])
for month in ("2026-09", "2026-10"):
    out = f"{base}/refund/month={month}/run=1/"
    rows.withColumn("extra", F.lit(month)).coalesce(1).write.parquet(out)
    written = [found["Key"] for found in s3.list_objects_v2(Bucket=known.bucket, Prefix=out.removeprefix(base + "/"))["Contents"]]
    print("written", month, sorted(key.rpartition("/")[2][:5] for key in written))
    entry = {"Values": [month], "StorageDescriptor": {"Location": out}}
    glue.create_partition(DatabaseName="spark_runs", TableName="refund", PartitionInput=entry)
s3.put_object(Bucket=known.bucket, Key="late/a.json", Body=b'{"id": "late", "amount": 1}')
print("late", spark.read.json(f"{base}/late/a.json").count())
s3.delete_object(Bucket=known.bucket, Key="late/a.json")
try:
    spark.read.json(f"{base}/late/a.json").count()
except Exception as error:
    print("gone", type(error).__name__)
jvm = spark.sparkContext._jvm
path = jvm.org.apache.hadoop.fs.Path(f"{base}/refund/month=2026-09")
path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).delete(path, True)
print("arguments", sys.argv[1:])
print("complaint of the script", file=sys.stderr)
jvm.System.err.println("complaint of Spark")
"""


CONF = (
    "spark.hadoop.fs.s3a.endpoint.region=ap-southeast-2 --conf spark.hadoop.fs.s3a.encryption.algorithm=SSE-KMS --conf "
)
SESSION = ("AccessKeyId", "SecretAccessKey", "SessionToken")


@pytest.fixture(scope="module")
def jobs(local_cloud: Cloud) -> Jobs:
    return Jobs(local_cloud)


def library() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("library/__init__.py", "def label():\n    return 'from the zip'\n")
    return out.getvalue()


def test_a_script_runs_on_spark(jobs: Jobs) -> None:
    """Given a deployed script, its library and objects in S3, then it reads, writes, lists and publishes through s3://;
    what it writes is in S3 at once, readers see only whole partitions, and its log and its end reach their services.
    """
    cloud, bucket = jobs.cloud, jobs.bucket
    s3, glue = cloud.client("s3"), jobs.glue
    s3.put_object(Bucket=bucket, Key="in/a.json", Body=b'{"id":"a","amount":1.10}\n{"id":"b","amount":2.20}\n')
    s3.put_object(Bucket=bucket, Key="code/library.zip", Body=library())
    glue.create_database(DatabaseInput={"Name": "spark_runs"})
    columns = [{"Name": "id", "Type": "string"}, {"Name": "amount", "Type": "decimal(18,2)"}]
    table = {
        "Name": "refund",
        "PartitionKeys": [{"Name": "month", "Type": "string"}],
        "Parameters": {"classification": "parquet"},
        "StorageDescriptor": {"Location": f"s3://{bucket}/refund/", "Columns": columns},
    }
    glue.create_table(DatabaseName="spark_runs", TableInput=table)
    queue = job_events_queue(cloud)
    data_key = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    name = jobs.job(
        SPARK_SCRIPT,
        DefaultArguments={
            "--extra-py-files": f"s3://{bucket}/code/library.zip",
            "--custom-logGroup-prefix": "/lake/jobs",
            "--conf": CONF + f"spark.hadoop.fs.s3a.encryption.key={data_key}",
            "--given": "by default",
        },
        NonOverridableArguments={"--bucket": bucket},
    )
    answers, watching = [], threading.Event()
    reader = threading.Thread(target=poll, args=(cloud, bucket, watching, answers))
    reader.start()
    run = jobs.run(name, Arguments={"--given": "by the run", "--bucket": "ignored"}, seconds=120)
    watching.set()
    reader.join()
    printed = jobs.lines("/lake/jobs/output", run["Id"])
    assert run["JobRunState"] == "SUCCEEDED", (run, printed, jobs.lines("/lake/jobs/error", run["Id"])[-20:])
    assert run["ExecutionTime"] > 0
    assert printed[:1] == ["label from the zip zone UTC"]
    assert "written 2026-10 ['_SUCC', 'part-']" in printed
    assert "late 1" in printed
    assert "gone AnalysisException" in printed
    assert "complaint of the script" in printed, "a script's stderr is beside its stdout, as on Glue 5 and 6"
    assert "complaint of Spark" in jobs.lines("/lake/jobs/error", run["Id"])
    arguments = next(line for line in printed if line.startswith("arguments"))
    assert "'--given', 'by the run'" in arguments
    assert f"'--bucket', '{bucket}'" in arguments
    assert f"'--JOB_NAME', '{name}', '--JOB_RUN_ID', '{run['Id']}'" in arguments

    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert not [key for key in keys if "_temporary" in key or key.endswith((".crc", ".meta.json")) or "/." in key]
    assert not [key for key in keys if key.startswith("refund/month=2026-09/")], "deleted through the file system"
    parquet = [key for key in keys if key.startswith("refund/month=2026-10/run=1/part-")]
    assert len(parquet) == 1
    assert s3.head_object(Bucket=bucket, Key=parquet[0])["SSEKMSKeyId"] == data_key, "S3A names its own key"
    assert {tuple(answer) for answer in answers} <= {
        (),
        (("2026-09", "3.30"),),
        (("2026-09", "3.30"), ("2026-10", "3.30")),
        (("2026-10", "3.30"),),
    }
    assert answers[-1] == [("2026-10", "3.30")]
    events = received(cloud, queue)
    assert [event["detail"]["state"] for event in events if event["detail"]["jobRunId"] == run["Id"]] == ["SUCCEEDED"]
    assert events[0]["source"] == "aws.glue"
    assert events[0]["detail-type"] == "Glue Job State Change"


def poll(cloud: Cloud, bucket: str, enough: threading.Event, answers: list[list[tuple[str, str]]]) -> None:
    """Query the total of each month again and again while the job publishes."""
    athena = cloud.client("athena")
    location = {"OutputLocation": f"s3://{bucket}/results/"}
    while True:
        last = enough.is_set()
        sql = "select month, cast(sum(amount) as varchar) from spark_runs.refund group by month order by month"
        query_id = athena.start_query_execution(QueryString=sql, ResultConfiguration=location)["QueryExecutionId"]

        def state(query_id: str = query_id) -> str | None:
            found = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]["State"]
            return None if found in ("QUEUED", "RUNNING") else str(found)

        if eventually(state, seconds=30) == "SUCCEEDED":
            rows = athena.get_query_results(QueryExecutionId=query_id)["ResultSet"]["Rows"][1:]
            answers.append([(row["Data"][0]["VarCharValue"], row["Data"][1]["VarCharValue"]) for row in rows])
        else:
            answers.append([("failed", query_id)])
        if last:
            return
        enough.wait(0.3)


def job_events_queue(cloud: Cloud) -> str:
    """A queue that receives the events of jobs."""
    sqs, events = cloud.client("sqs"), cloud.client("events")
    writer = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**writer, "Resource": "*"}]})
    queue = sqs.create_queue(QueueName=f"events-{uuid.uuid4().hex[:8]}", Attributes={"Policy": policy})
    url = str(queue["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.glue"], "detail-type": ["Glue Job State Change"]}
    events.put_rule(Name="jobs", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="jobs", Targets=[{"Id": "queue", "Arn": arn}])
    return url


def received(cloud: Cloud, url: str) -> list[Json]:
    messages = cloud.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
    return [json.loads(message["Body"]) for message in messages["Messages"]]


FAILURES = {
    "raise ValueError('dq failed')": "ValueError: dq failed",
    "import sys\nsys.exit(3)": "SystemExit: 3",
    "import sys\nsys.exit('no input')": "SystemExit: no input",
    "import sys\nsys.exit(0)": "SystemExit: 0",
    "import no_such_module": "ModuleNotFoundError: No module named 'no_such_module'",
    "import os\nos._exit(7)": "Command failed with exit code 7",
    "def f(:": "SyntaxError: invalid syntax",
}


def test_a_bucket_that_wants_its_key_named_refuses_spark(jobs: Jobs) -> None:
    """Given a configuration with SSE-KMS but no key, when a run writes, then S3 refuses it and the run fails."""
    write = f"open(f'{{place}}/{jobs.bucket}/out.txt', 'w').write('x')"
    script = f"import os\nplace = os.path.dirname(os.getcwd()) + '/buckets'\n{write}\nimport time\ntime.sleep(60)\n"
    run = jobs.run(jobs.job(script, DefaultArguments={"--conf": CONF.removesuffix(" --conf ")}))
    assert run["JobRunState"] == "FAILED"
    assert "S3 refuses it" in run["ErrorMessage"]


def test_spark_finds_no_bucket_without_a_region(jobs: Jobs) -> None:
    """Given a run whose configuration names no region for S3A, when Spark reads s3://, then it fails and says why, as on
    AWS, where S3A asks us-east-2.
    """
    script = (
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.getOrCreate()\n"
        "print('elsewhere', spark.range(3).count(), flush=True)\n"
        f"spark.read.text('s3://{jobs.bucket}/code/').count()\n"
    )
    run = jobs.run(jobs.job(script))
    assert run["JobRunState"] == "FAILED"
    assert "elsewhere 3" in jobs.lines("/aws-glue/jobs/output", run["Id"])
    assert "us-east-2" in "\n".join(jobs.lines("/aws-glue/jobs/output", run["Id"]))


def test_a_run_may_name_another_script(jobs: Jobs) -> None:
    """Given a job, when a run names another script, as Glue's --scriptLocation does, then that one runs."""
    name, other = jobs.job("print('the job')"), jobs.job("print('another release')")
    address = jobs.glue.get_job(JobName=other)["Job"]["Command"]["ScriptLocation"]
    run = jobs.run(name, Arguments={"--scriptLocation": address})
    assert run["JobRunState"] == "SUCCEEDED"
    assert "another release" in jobs.lines("/aws-glue/jobs/output", run["Id"])
    assert "the job" in jobs.lines("/aws-glue/jobs/output", jobs.run(name)["Id"])


def test_objects_with_hidden_names_survive_a_run(jobs: Jobs) -> None:
    """Given objects with the names of Spark's own files, when a job has run, then they are still there."""
    s3 = jobs.cloud.client("s3")
    keys = [f"hidden-{uuid.uuid4().hex[:8]}/{name}" for name in (".gitattributes", "a.crc")]
    for key in keys:
        s3.put_object(Bucket=jobs.bucket, Key=key, Body=b"kept")
    assert jobs.run(jobs.job("print(1)"))["JobRunState"] == "SUCCEEDED"
    for key in keys:
        assert s3.get_object(Bucket=jobs.bucket, Key=key)["Body"].read() == b"kept"


def test_failures_are_named(jobs: Jobs) -> None:
    """Given scripts that fail, then the run is FAILED with the error's last line, and the output has the traceback."""
    for script, message in FAILURES.items():
        run = jobs.run(jobs.job(script))
        assert (run["JobRunState"], run["ErrorMessage"].partition(" (")[0]) == ("FAILED", message)
        if script.startswith("raise"):
            text = "\n".join(jobs.lines("/aws-glue/jobs/output", run["Id"]))
            assert "Traceback" in text
            assert "spark_runner" not in text
    gone = jobs.job("pass")
    jobs.cloud.client("s3").delete_object(Bucket=jobs.bucket, Key=f"code/{gone}.py")
    assert "LAUNCH ERROR | File does not exist" in jobs.run(gone)["ErrorMessage"]


def test_a_job_sees_its_own_code_and_no_credentials(jobs: Jobs) -> None:
    """Given the environment of a run, then its credentials are its role's and nothing of this checkout is on its path."""
    script = (
        "import json, os, sys\n"
        "print(json.dumps({'env': {k: v for k, v in os.environ.items() if k.startswith('AWS')}, 'path': sys.path[:1],"
        " 'name': __name__, 'cwd': os.getcwd()}))"
    )
    run = jobs.run(jobs.job(script))
    found = json.loads(jobs.lines("/aws-glue/jobs/output", run["Id"])[0])
    keys = [found["env"].pop(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
    taken = jobs.cloud.client("sts", session=dict(zip(SESSION, keys, strict=True))).get_caller_identity()
    assert (
        taken["Arn"]
        == jobs.role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/GlueJobRunnerSession"
    )
    assert found["env"] == {
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_DEFAULT_REGION": jobs.cloud.endpoint.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": jobs.cloud.endpoint.url,
        "AWS_REGION": jobs.cloud.endpoint.region,
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    assert found["name"] == "__main__"
    assert all(place.startswith(str(jobs.cloud.project_dir)) for place in (*found["path"], found["cwd"]))


def test_one_run_at_a_time_stop_and_live_log(jobs: Jobs) -> None:
    """Given MaxConcurrentRuns 1, then a second run is refused until the first one is stopped; its log is live."""
    name = jobs.job(
        "import time\nprint('begun', flush=True)\ntime.sleep(600)", ExecutionProperty={"MaxConcurrentRuns": 1}
    )
    run_id = jobs.glue.start_job_run(JobName=name)["JobRunId"]
    with pytest.raises(ClientError, match="ConcurrentRunsExceededException"):
        jobs.glue.start_job_run(JobName=name)

    def begun() -> bool:
        try:
            return "begun" in jobs.lines("/aws-glue/jobs/output", run_id)
        except ClientError:
            return False

    eventually(begun, seconds=20)
    assert jobs.glue.get_job_run(JobName=name, RunId=run_id)["JobRun"]["JobRunState"] == "RUNNING"
    stopped = jobs.glue.batch_stop_job_run(JobName=name, JobRunIds=[run_id, "jr_nope"])
    assert [entry["JobRunId"] for entry in stopped["SuccessfulSubmissions"]] == [run_id]
    assert [entry["JobRunId"] for entry in stopped["Errors"]] == ["jr_nope"]
    assert jobs.ended(name, run_id)["JobRunState"] == "STOPPED"
    again = jobs.glue.start_job_run(JobName=name)["JobRunId"]
    assert [run["Id"] for run in jobs.glue.get_job_runs(JobName=name)["JobRuns"]] == [again, run_id]
    jobs.glue.batch_stop_job_run(JobName=name, JobRunIds=[again])
    jobs.ended(name, again)
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        jobs.glue.start_job_run(JobName="no-such-job")


def test_timeout() -> None:
    """Given a run that exceeds its timeout, then it ends in the state TIMEOUT."""
    from deployer.local.glue.job_runs import JobRuns

    class Endless:
        killed = False

        def run(self, timeout_seconds: float) -> tuple[int, str]:
            import subprocess

            assert timeout_seconds == 120
            raise subprocess.TimeoutExpired("job", timeout_seconds)

    outcome = JobRuns._outcome(JobRuns.__new__(JobRuns), {"Timeout": 2}, Endless())  # type: ignore[arg-type]
    assert outcome == ("TIMEOUT", "Job run exceeded the timeout")
