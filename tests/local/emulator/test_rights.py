"""A principal does what its policies allow and nothing else, and is refused in the protocol of the service it called."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import boto3
import botocore
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from local_cloud import ACCOUNT, Cloud, Json, eventually

REGION = "ap-southeast-2"
DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "403"}


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


class Actor:
    """A role that the tests assume: its permissions, and clients with its credentials."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.role = cloud, cloud.role(accounts=(ACCOUNT,), allow={"sts:TagSession": "*"})
        taken = cloud.client("sts").assume_role(RoleArn=self.role, RoleSessionName="test")
        self.session = taken["Credentials"]

    def client(self, service: str) -> Any:
        return self.cloud.client(service, session=self.session)

    def may(self, call: Callable[[], Any]) -> bool:
        """Whether a call is allowed; a refusal must say who lacks which permission."""
        try:
            call()
        except ClientError as error:
            if error.response["Error"]["Code"] not in DENIED:
                return True  # refused for another reason, so it was allowed
            if error.response["Error"]["Message"] not in ("Forbidden", ""):
                assert "is not authorized to perform" in error.response["Error"]["Message"]
            return False
        return True

    def with_statements(self, *statements: Json) -> Actor:
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        name = self.role.rpartition("/")[2]
        self.cloud.client("iam").put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=policy)
        return self

    def allowed(self, actions: Json) -> Actor:
        self.cloud.allow(self.role, actions)
        return self


@pytest.fixture(scope="module")
def actor(local_cloud: Cloud) -> Actor:
    return Actor(local_cloud)


@pytest.fixture(scope="module")
def key(local_cloud: Cloud) -> str:
    return str(local_cloud.client("kms").create_key()["KeyMetadata"]["Arn"])


@pytest.fixture(scope="module")
def vault(local_cloud: Cloud, key: str) -> str:
    """A bucket encrypted with a key, with one object in it."""
    bucket = local_cloud.bucket("vault")
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    s3 = local_cloud.client("s3")
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_object(Bucket=bucket, Key="in/a", Body=b"a")
    return bucket


def test_the_key_behind_s3(actor: Actor, vault: str, key: str) -> None:
    """Given permissions on an encrypted bucket, then reading needs Decrypt, too, and writing GenerateDataKey, by S3."""
    s3, objects = actor.client("s3"), f"arn:aws:s3:::{vault}/in/*"
    via = {"Condition": {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}}
    both = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": objects}

    def read() -> bool:
        return actor.may(lambda: s3.get_object(Bucket=vault, Key="in/a"))

    def write() -> bool:
        return actor.may(lambda: s3.put_object(Bucket=vault, Key="in/b", Body=b"b"))

    actor.with_statements(both)
    assert (read(), write()) == (False, False)
    actor.with_statements(both, {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key, **via})
    assert (read(), write()) == (True, False)
    actor.with_statements(both, {"Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": key, **via})
    assert (read(), write()) == (False, True)
    direct = actor.client("kms")
    assert not actor.may(lambda: direct.generate_data_key(KeyId=key, KeySpec="AES_256"))
    other = {"StringEquals": {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::other"}}
    actor.with_statements(both, {"Effect": "Allow", "Action": "kms:*", "Resource": key, "Condition": other})
    assert (read(), write()) == (False, False)


def stream_with(cloud: Cloud, key: str) -> Json:
    name, kinesis = f"s-{uuid.uuid4().hex[:8]}", cloud.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId=key)
    return {"StreamName": name, "Data": b"x", "PartitionKey": "a"}


def queue_with(cloud: Cloud, key: str) -> Json:
    name, settings = f"q-{uuid.uuid4().hex[:8]}", {"KmsMasterKeyId": key}
    return {"QueueUrl": cloud.client("sqs").create_queue(QueueName=name, Attributes=settings)["QueueUrl"]}


def topic_with(cloud: Cloud, key: str) -> Json:
    name, settings = f"t-{uuid.uuid4().hex[:8]}", {"KmsMasterKeyId": key}
    return {"TopicArn": cloud.client("sns").create_topic(Name=name, Attributes=settings)["TopicArn"], "Message": "x"}


def secret_with(cloud: Cloud, key: str) -> Json:
    made = cloud.client("secretsmanager").create_secret(
        Name=f"k-{uuid.uuid4().hex[:8]}", KmsKeyId=key, SecretString="x"
    )
    return {"SecretId": made["ARN"]}


BOTH = ("kms:GenerateDataKey", "kms:Decrypt")


@pytest.mark.parametrize(
    ("service", "make", "call", "more", "needed"),
    [
        ("kinesis", stream_with, "put_record", {}, ("kms:GenerateDataKey",)),
        ("sqs", queue_with, "send_message", {"MessageBody": "x"}, BOTH),
        ("sqs", queue_with, "receive_message", {}, ("kms:Decrypt",)),
        ("sns", topic_with, "publish", {}, BOTH),
        ("secretsmanager", secret_with, "get_secret_value", {}, ("kms:Decrypt",)),
        ("secretsmanager", secret_with, "put_secret_value", {"SecretString": "y"}, BOTH),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_key_behind_other_services(
    actor: Actor,
    local_cloud: Cloud,
    key: str,
    service: str,
    make: Callable[[Cloud, str], Json],
    call: str,
    more: Json,
    needed: tuple[str, ...],
) -> None:
    """Given every permission on a resource with a key, then its use needs each on the key, by its service."""
    arguments = {**make(local_cloud, key), **more}
    whole = {"Effect": "Allow", "Action": f"{service}:*", "Resource": "*"}

    def may(actions: Sequence[str], through: str) -> bool:
        via = {"StringEquals": {"kms:ViaService": f"{through}.{REGION}.amazonaws.com"}}
        rights = {"Effect": "Allow", "Action": [*actions, "kms:DescribeKey"], "Resource": key, "Condition": via}
        actor.with_statements(whole, rights)
        return actor.may(lambda: getattr(actor.client(service), call)(**arguments))

    assert [may([each for each in needed if each != left_out], service) for left_out in needed] == [False] * len(needed)
    assert not may(needed, "s3")
    assert may(needed, service)


def test_a_missing_object_is_shown_to_those_who_may_list(actor: Actor, vault: str) -> None:
    """Given a missing object, then those who may list get 404, and others 403."""
    s3 = actor.client("s3")
    actor.allowed({"s3:GetObject": f"arn:aws:s3:::{vault}/*"})
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket=vault, Key="in/nope")
    actor.allowed({"s3:GetObject": f"arn:aws:s3:::{vault}/*", "s3:ListBucket": f"arn:aws:s3:::{vault}"})
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=vault, Key="in/nope")


def test_conditions_of_a_bucket_policy_bind_everybody(local_cloud: Cloud, key: str) -> None:
    """Given Deny statements on plain HTTP, other encryption and overwriting, then they restrict the account's root, too."""
    bucket, s3 = local_cloud.bucket("bound"), local_cloud.client("s3")
    deny = {"Effect": "Deny", "Principal": "*", "Resource": f"arn:aws:s3:::{bucket}/*"}
    encryption = "s3:x-amz-server-side-encryption"
    statements = [
        {**deny, "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {**deny, "Action": "s3:*", "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
        {
            **deny,
            "Action": "s3:PutObject",
            "Condition": {"StringNotEquals": {f"{encryption}-aws-kms-key-id": key}, "Null": {encryption: "false"}},
        },
        {
            **deny,
            "Action": "s3:PutObject",
            "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
        },
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    s3.put_object(Bucket=bucket, Key="a", Body=b"a", IfNoneMatch="*")
    s3.put_object(Bucket=bucket, Key="k", Body=b"k", IfNoneMatch="*", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        s3.put_object(Bucket=bucket, Key="b", Body=b"b", IfNoneMatch="*", ServerSideEncryption="AES256")
    # A multipart upload sends the condition when it is completed.
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"m")["ETag"]
    parts: Any = {"Parts": [{"ETag": part, "PartNumber": 1}]}
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload=parts)
    s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload=parts, IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"a"
    s3.meta.events.register(
        "before-sign.s3", lambda request, **_: request.headers.add_header("x-forwarded-proto", "http")
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket=bucket, Key="a")


def test_policy_variables_are_filled_in(actor: Actor, vault: str) -> None:
    """Given a policy with a variable, then it has the request's value, and matches nothing if the request has none."""
    s3 = actor.client("s3")
    actor.allowed({"s3:PutObjectTagging": f"arn:aws:s3:::{vault}/${{aws:PrincipalTag/home}}/*"})
    tags: Any = {"TagSet": []}

    def tag(place: str) -> bool:
        return actor.may(lambda: s3.put_object_tagging(Bucket=vault, Key=f"{place}/a", Tagging=tags))

    assert not tag("in")
    actor.cloud.client("iam").tag_role(RoleName=actor.role.rpartition("/")[2], Tags=[{"Key": "home", "Value": "in"}])
    assert (tag("in"), tag("out"), tag("${aws:PrincipalTag")) == (True, False, False)


def test_the_catalog_is_judged_by_catalog_database_and_table(actor: Actor, local_cloud: Cloud) -> None:
    """Given permissions on one table, then only its partitions can be read; each of the three resources is needed."""
    glue, root, name = actor.client("glue"), local_cloud.client("glue"), f"judged_{uuid.uuid4().hex[:8]}"
    root.create_database(DatabaseInput={"Name": name})
    storage = {"Location": "s3://nowhere/", "Columns": [{"Name": "id", "Type": "string"}]}
    for table in ("refund", "void"):
        root.create_table(DatabaseName=name, TableInput={"Name": table, "StorageDescriptor": storage})
    places = [arn("glue", "catalog"), arn("glue", f"database/{name}"), arn("glue", f"table/{name}/refund")]

    def get(table: str) -> bool:
        return actor.may(lambda: glue.get_table(DatabaseName=name, Name=table))

    actor.allowed({"glue:*": places})
    assert (get("refund"), get("void")) == (True, False)
    assert actor.may(lambda: glue.get_partitions(DatabaseName=name, TableName="refund"))
    assert not actor.may(lambda: glue.get_partitions(DatabaseName=name, TableName="void"))
    assert actor.may(lambda: glue.get_database(Name=name))
    assert not actor.may(lambda: glue.start_crawler(Name="refund"))
    assert not actor.may(lambda: glue.start_job_run(JobName="refund"))
    for missing in places:
        actor.allowed({"glue:*": [place for place in places if place != missing]})
        assert not get("refund"), missing
    actor.allowed({"glue:StartCrawler": arn("glue", "crawler/raw"), "glue:GetJobRun": arn("glue", "job/refund")})
    assert actor.may(lambda: glue.start_crawler(Name="raw"))
    assert actor.may(lambda: glue.get_job_run(JobName="refund", RunId="jr_1"))


def test_a_role_is_passed_by_those_who_may_pass_it(actor: Actor, local_cloud: Cloud) -> None:
    """Given permission to create a job, a function or a schedule, then its role must be one that the caller may pass."""
    passed = local_cloud.role("glue", "lambda", "scheduler")
    make = {"Effect": "Allow", "Action": ["glue:CreateJob", "scheduler:CreateSchedule"], "Resource": "*"}
    code: Any = {"Name": "glueetl", "ScriptLocation": "s3://b/k"}
    glue, scheduler = actor.client("glue"), actor.client("scheduler")

    def job() -> bool:
        return actor.may(lambda: glue.create_job(Name=f"j-{uuid.uuid4().hex[:8]}", Role=passed, Command=code))

    def schedule() -> bool:
        target: Any = {"Arn": arn("lambda", "function:f"), "RoleArn": passed}
        window: Any = {"Mode": "OFF"}
        name = f"s-{uuid.uuid4().hex[:8]}"
        return actor.may(
            lambda: scheduler.create_schedule(
                Name=name, ScheduleExpression="rate(1 day)", Target=target, FlexibleTimeWindow=window
            )
        )

    actor.with_statements(make)
    assert (job(), schedule()) == (False, False)
    to_glue = {"StringEquals": {"iam:PassedToService": "glue.amazonaws.com"}}
    actor.with_statements(make, {"Effect": "Allow", "Action": "iam:PassRole", "Resource": passed, "Condition": to_glue})
    assert (job(), schedule()) == (True, False)


def test_metrics_and_log_lines(actor: Actor, local_cloud: Cloud) -> None:
    """Given permissions on a namespace and a log stream, then only metrics in it and lines to that stream are allowed."""
    group = f"/rights/{uuid.uuid4().hex[:8]}"
    logs = local_cloud.client("logs")
    logs.create_log_group(logGroupName=group)
    for stream in ("own", "other"):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    count = {"StringEquals": {"cloudwatch:namespace": "RefundsLake"}}
    actor.with_statements(
        {"Effect": "Allow", "Action": "cloudwatch:PutMetricData", "Resource": "*", "Condition": count},
        {
            "Effect": "Allow",
            "Action": "logs:PutLogEvents",
            "Resource": arn("logs", f"log-group:{group}:log-stream:own"),
        },
    )
    cloudwatch, own_logs = actor.client("cloudwatch"), actor.client("logs")
    data: Any = [{"MetricName": "m", "Value": 1}]
    assert actor.may(lambda: cloudwatch.put_metric_data(Namespace="RefundsLake", MetricData=data))
    assert not actor.may(lambda: cloudwatch.put_metric_data(Namespace="Other", MetricData=data))
    lines: Any = [{"timestamp": 1_800_000_000_000, "message": "x"}]
    assert actor.may(lambda: own_logs.put_log_events(logGroupName=group, logStreamName="own", logEvents=lines))
    assert not actor.may(lambda: own_logs.put_log_events(logGroupName=group, logStreamName="other", logEvents=lines))


def test_a_boundary_and_a_session_policy_limit_a_role(local_cloud: Cloud, vault: str) -> None:
    """Given a role that may do everything, then a permissions boundary and a session policy each limit it."""
    iam, role = local_cloud.client("iam"), local_cloud.role(accounts=(ACCOUNT,))
    listing = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [listing]})

    def rights(**session_policy: str) -> tuple[bool, bool]:
        taken = local_cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="test", **session_policy)
        s3 = local_cloud.client("s3", session=taken["Credentials"])
        done = []
        for call in (lambda: s3.list_objects_v2(Bucket=vault), lambda: s3.get_object(Bucket=vault, Key="in/a")):
            try:
                call()
                done.append(True)
            except ClientError:
                done.append(False)
        return done[0], done[1]

    assert rights() == (True, True)
    assert rights(Policy=policy) == (True, False)
    made = iam.create_policy(PolicyName=f"boundary-{uuid.uuid4().hex[:8]}", PolicyDocument=policy)["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName=role.rpartition("/")[2], PermissionsBoundary=made)
    assert rights() == (True, False)


def test_a_query_reads_as_its_caller(actor: Actor, local_cloud: Cloud, vault: str, key: str) -> None:
    """Given permissions on a workgroup, a table and its files, then the query runs; without one, it fails and names it."""
    name, root = f"asked_{uuid.uuid4().hex[:8]}", local_cloud.client("glue")
    local_cloud.client("s3").put_object(Bucket=vault, Key=f"{name}/a.json", Body=b'{"id": "a"}\n')
    local_cloud.client("athena").create_work_group(
        Name=name, Configuration={"ResultConfiguration": {"OutputLocation": f"s3://{vault}/results/"}}
    )
    root.create_database(DatabaseInput={"Name": name})
    storage = {"Location": f"s3://{vault}/{name}/", "Columns": [{"Name": "id", "Type": "string"}]}
    serde = {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe"}
    table: Any = {
        "Name": "t",
        "Parameters": {"classification": "json"},
        "StorageDescriptor": {**storage, "SerdeInfo": serde},
    }
    root.create_table(DatabaseName=name, TableInput=table)
    rights: Json = {
        "athena:*": arn("athena", f"workgroup/{name}"),
        "glue:*": [arn("glue", "catalog"), arn("glue", f"database/{name}"), arn("glue", f"table/{name}/t")],
        "s3:ListBucket": f"arn:aws:s3:::{vault}",
        "s3:GetBucketLocation": f"arn:aws:s3:::{vault}",
        "s3:GetObject": f"arn:aws:s3:::{vault}/*",
        "s3:PutObject": f"arn:aws:s3:::{vault}/results/*",
        "kms:*": key,
    }
    athena = actor.client("athena")

    def outcome() -> str:
        started = athena.start_query_execution(
            QueryString="select id from t", WorkGroup=name, QueryExecutionContext={"Database": name}
        )

        def ended() -> Json | None:
            found: Json = local_cloud.client("athena").get_query_execution(
                QueryExecutionId=started["QueryExecutionId"]
            )["QueryExecution"]["Status"]
            return found if found["State"] in ("SUCCEEDED", "FAILED") else None

        status = eventually(ended, seconds=20)
        if status["State"] == "SUCCEEDED":
            rows = athena.get_query_results(QueryExecutionId=started["QueryExecutionId"])["ResultSet"]["Rows"]
            return str(rows[1]["Data"][0]["VarCharValue"])
        return str(status["StateChangeReason"])

    actor.allowed(rights)
    assert outcome() == "a"
    for missing in rights:
        actor.allowed({action: place for action, place in rights.items() if action != missing})
        if missing == "athena:*":
            with pytest.raises(ClientError, match="AccessDenied"):
                outcome()
        else:
            assert missing.rstrip("*") in outcome(), missing
            assert "is not authorized to perform" in outcome()
    actor.allowed({**rights, "athena:*": arn("athena", "workgroup/primary")})
    with pytest.raises(ClientError, match="AccessDenied"):
        athena.batch_get_query_execution(
            QueryExecutionIds=[
                local_cloud.client("athena").list_query_executions(WorkGroup=name)["QueryExecutionIds"][0]
            ]
        )


def test_a_functions_log_and_failures_need_its_role(local_cloud: Cloud) -> None:
    """Given a function that fails, then its log is written and its failure kept only as far as its role allows."""
    name, role = f"f-{uuid.uuid4().hex[:8]}", local_cloud.role("lambda", allow={"sts:TagSession": "*"})
    functions, logs, sqs = (local_cloud.client(service) for service in ("lambda", "logs", "sqs"))
    source = "def handle(event, context):\n    raise ValueError('no ' + event['n'])\n"
    local_cloud.function(source, FunctionName=name, Role=role)
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    kept: Any = {"OnFailure": {"Destination": arn("sqs", name)}}
    functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0, DestinationConfig=kept)

    def lines() -> str:
        try:
            return str(logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"])
        except ClientError:
            return ""

    functions.invoke(FunctionName=name, Payload=b'{"n": "first"}')
    functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": "first"}')
    time.sleep(2)  # until the first failure is over, which leaves no trace
    local_cloud.allow(
        role, {"logs:*": arn("logs", f"log-group:/aws/lambda/{name}*"), "sqs:SendMessage": arn("sqs", name)}
    )
    functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": "second"}')
    answer = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"), seconds=20)
    assert "first" not in answer[0]["Body"]
    assert "no second" in eventually(lines, seconds=10)
    assert "no first" not in lines()


def test_a_stack_does_what_its_caller_may(actor: Actor, local_cloud: Cloud, key: str) -> None:
    """Given a caller of CloudFormation, then a stream's encryption also needs a permission on the key."""
    name = f"stack-{uuid.uuid4().hex[:8]}"
    encryption = {"EncryptionType": "KMS", "KeyId": key}
    stream = {"Type": "AWS::Kinesis::Stream", "Properties": {"Name": name, "StreamEncryption": encryption}}
    database_name = name.replace("-", "_")
    properties = {"CatalogId": ACCOUNT, "DatabaseInput": {"Name": database_name}}
    made_last = {"Type": "AWS::Glue::Database", "Properties": properties, "DependsOn": "Stream"}
    template = json.dumps({"Resources": {"Stream": stream, "Database": made_last}})
    database = [arn("glue", "catalog"), arn("glue", f"database/{database_name}")]
    rights = [("cloudformation:*", "*"), ("kinesis:*", [arn("kinesis", f"stream/{name}")]), ("glue:*", database)]
    stacks = actor.client("cloudformation")

    def allowed(*more: tuple[str, Any]) -> None:
        through = {"ForAnyValue:StringEquals": {"aws:CalledVia": "cloudformation.amazonaws.com"}}
        actor.with_statements(
            *(
                {
                    "Effect": "Allow",
                    "Action": action,
                    "Resource": place,
                    **({} if action == "cloudformation:*" else {"Condition": through}),
                }
                for action, place in [*rights, *more]
            )
        )

    def reasons(stack: str) -> str:
        events = local_cloud.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
        return str([event.get("ResourceStatusReason") for event in events])

    allowed()
    refused = stacks.create_stack(StackName=f"{name}-1", TemplateBody=template)["StackId"]
    assert local_cloud.settled(refused)["StackStatus"].startswith("ROLLBACK")
    assert f"kinesis:StartStreamEncryption on resource: {key}" in reasons(refused)


#: A small resource for each kind of call (create, set, read), and the permission that its caller lacks.
CALLS = [
    ("AWS::ApiGateway::Account", {"CloudWatchRoleArn": f"arn:aws:iam::{ACCOUNT}:role/logs"}, "iam:PassRole"),
    ("AWS::ApiGateway::RestApi", {"Name": "calls"}, "apigateway:POST"),
    ("AWS::CloudWatch::Dashboard", {"DashboardBody": "{}"}, "cloudwatch:PutDashboard"),
    ("AWS::Events::Rule", {"ScheduleExpression": "rate(1 day)"}, "events:ListTargetsByRule"),
    ("AWS::Glue::Crawler", {"Role": "nobody", "Targets": {}, "DatabaseName": "none"}, "glue:CreateCrawler"),
    ("AWS::Glue::Job", {"Role": "nobody", "Command": {"Name": "glueetl"}}, "iam:GetRole"),
    ("AWS::KMS::Key", {"KeyPolicy": {"Version": "2012-10-17", "Statement": []}}, "kms:GetKeyRotationStatus"),
    ("AWS::Logs::LogGroup", {"RetentionInDays": 1}, "logs:PutRetentionPolicy"),
    ("AWS::SQS::Queue", {}, "sqs:GetQueueAttributes"),
]


@pytest.mark.parametrize(("type_", "properties", "action"), CALLS, ids=[action for *_, action in CALLS])
def test_a_stack_needs_each_call_of_a_handler(
    actor: Actor, local_cloud: Cloud, type_: str, properties: Json, action: str
) -> None:
    """Given a caller who may do everything but one call of a resource's handlers, then the stack fails with that call."""
    template = json.dumps({"Resources": {"Thing": {"Type": type_, "Properties": properties}}})
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    actor.with_statements(everything, {"Effect": "Deny", "Action": action, "Resource": "*"})
    name = f"handler-{uuid.uuid4().hex[:8]}"
    made = actor.client("cloudformation").create_stack(StackName=name, TemplateBody=template)["StackId"]
    assert local_cloud.settled(made)["StackStatus"].startswith("ROLLBACK")
    events = local_cloud.client("cloudformation").describe_stack_events(StackName=made)["StackEvents"]
    assert f"is not authorized to perform: {action} on" in str([e.get("ResourceStatusReason") for e in events])


def test_a_changed_resource_needs_what_changes_it(actor: Actor, local_cloud: Cloud) -> None:
    """Given a role whose trust changes and a group that loses its retention, then the caller needs the call for each."""
    trust = {"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}}
    changed = {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{**trust, "Sid": "Glue"}]}}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    stacks, name = actor.client("cloudformation"), f"changed-{uuid.uuid4().hex[:8]}"

    def body(role: Json, group: Json) -> str:
        resources = {
            "Trusted": {"Type": "AWS::IAM::Role", "Properties": role},
            "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name, **group}},
        }
        return json.dumps({"Resources": resources})

    actor.with_statements(everything)
    capabilities = ["CAPABILITY_IAM"]
    made = stacks.create_stack(
        StackName=name, TemplateBody=body(role, {"RetentionInDays": 1}), Capabilities=capabilities
    )
    assert local_cloud.settled(made["StackId"])["StackStatus"] == "CREATE_COMPLETE"
    for action, template in {
        "iam:UpdateAssumeRolePolicy": body(changed, {"RetentionInDays": 1}),
        "logs:DeleteRetentionPolicy": body(role, {}),
    }.items():
        actor.with_statements(everything, {"Effect": "Deny", "Action": action, "Resource": "*"})
        stacks.update_stack(StackName=name, TemplateBody=template, Capabilities=capabilities)
        assert local_cloud.settled(made["StackId"])["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
        events = local_cloud.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
        assert f"is not authorized to perform: {action} on" in str([e.get("ResourceStatusReason") for e in events])


def test_deleting_a_database_is_judged_on_what_it_holds(actor: Actor, local_cloud: Cloud) -> None:
    """Given a database, then deleting it also needs permissions on its tables and functions, with a stack or without."""
    name = f"held_{uuid.uuid4().hex[:8]}"
    properties = {"CatalogId": ACCOUNT, "DatabaseInput": {"Name": name}}
    template = json.dumps({"Resources": {"Held": {"Type": "AWS::Glue::Database", "Properties": properties}}})
    itself = [arn("glue", "catalog"), arn("glue", f"database/{name}")]
    held = [arn("glue", f"{kind}/{name}/*") for kind in ("table", "userDefinedFunction")]
    stack = local_cloud.client("cloudformation").create_stack(StackName=name.replace("_", "-"), TemplateBody=template)
    assert local_cloud.settled(stack["StackId"])["StackStatus"] == "CREATE_COMPLETE"
    stacks, rights = actor.client("cloudformation"), {"cloudformation:*": "*", "lakeformation:*": "*"}
    for missing in held:
        actor.allowed({**rights, "glue:*": [place for place in [*itself, *held] if place != missing]})
        assert not actor.may(lambda: actor.client("glue").delete_database(Name=name)), missing
        stacks.delete_stack(StackName=stack["StackId"])
        failed = local_cloud.settled(stack["StackId"])
        assert failed["StackStatus"] == "DELETE_FAILED", missing
        assert local_cloud.client("glue").get_database(Name=name)["Database"]["Name"] == name
    actor.allowed({**rights, "glue:*": [*itself, *held]})
    stacks.delete_stack(StackName=stack["StackId"])
    assert local_cloud.settled(stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"


def test_nobody_in_particular_may_do_nothing(local_cloud: Cloud, vault: str) -> None:
    """Given a request without credentials, or with unknown ones, then it is refused."""
    unsigned = boto3.client(
        "s3",
        endpoint_url=local_cloud.endpoint.url,
        region_name=REGION,
        config=Config(signature_version=botocore.UNSIGNED),  # type: ignore[arg-type]
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        unsigned.get_object(Bucket=vault, Key="in/a")
    unknown = {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "x", "SessionToken": ""}
    with pytest.raises(ClientError, match="InvalidAccessKeyId|InvalidToken"):
        local_cloud.client("s3", session=unknown).get_object(Bucket=vault, Key="in/a")
