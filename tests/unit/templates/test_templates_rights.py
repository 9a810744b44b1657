"""Who may do what: the policies of the templates, put to requests as IAM would judge them.

The emulator enforces none of this in its default mode, so each role's promise is a table of requests here.
"""

from __future__ import annotations

import ast
import json

import botocore.session
import pytest
from botocore import xform_name
from refunds_lake.schema.contract import is_waiting
from template_model import (
    ACCOUNT,
    LONGEST_ENVIRONMENT,
    OTHER_ACCOUNT,
    PARTNER,
    ROOT,
    TEMPLATES,
    THIRD_PARTY,
    Filled,
    Resource,
    all_resources,
    as_list,
    one_resource,
    policy_allows,
    policy_denies,
    role_rights,
    statements,
)

from deployer.project.sftp_users import USER_TYPE, with_users
from deployer.project.templates import parse_template

S3 = "s3.ap-southeast-2.amazonaws.com"
KINESIS = "kinesis.ap-southeast-2.amazonaws.com"
GLUE = f"arn:aws:glue:ap-southeast-2:{ACCOUNT}"
SECRETS = "secretsmanager.ap-southeast-2.amazonaws.com"
SNS = "sns.ap-southeast-2.amazonaws.com"
WEBHOOK = f"arn:aws:secretsmanager:ap-southeast-2:{ACCOUNT}:slackwebhook-physical"
TOPIC = f"arn:aws:sns:ap-southeast-2:{ACCOUNT}:alerts"
LOGS_KEY = f"arn:aws:kms:ap-southeast-2:{ACCOUNT}:key/logs"
DATA_KEY = f"arn:aws:kms:ap-southeast-2:{ACCOUNT}:key/data"
ARTIFACTS_KEY = f"arn:aws:kms:ap-southeast-2:{ACCOUNT}:key/artifacts"
STREAM = f"arn:aws:kinesis:ap-southeast-2:{ACCOUNT}:stream/transactionstream-physical"
API = f"arn:aws:execute-api:ap-southeast-2:{ACCOUNT}:stack-api-transactions"
OTHER_KEY = f"arn:aws:kms:ap-southeast-2:{ACCOUNT}:key/other"
LOGS = f"arn:aws:logs:ap-southeast-2:{ACCOUNT}:log-group:"
RAW, BASE, RESULTS, ARTIFACTS = (f"arn:aws:s3:::{name}-bucket" for name in ("raw", "base", "results", "artifacts"))
VALIDATION = "operations/ValidationRole"
MONTH_END = "month_end/StatementRole"
FUNCTION = f"arn:aws:lambda:ap-southeast-2:{ACCOUNT}:validation-physical"
FAILURES = f"arn:aws:sqs:ap-southeast-2:{ACCOUNT}:validationfailures-physical"
REPLICATION = "storage/ReplicationRole"
OWN_RAW, REPLICA = "arn:aws:s3:::rawbucket-physical", "arn:aws:s3:::replica-bucket"
OWN_KEY = f"arn:aws:kms:ap-southeast-2:{ACCOUNT}:key/datakey-physical"
REPLICA_KEY = f"arn:aws:kms:ap-southeast-2:{OTHER_ACCOUNT}:key/replica"
SFTP = "sftp/UserRole"
UPLOADED = f"{RAW}/transactions/source=sftp/acme"
TOOL = "ingest/ThirdPartyRole"
DROPPED = f"{RAW}/transactions/source=s3/ingest_date=2026-10-01/a.csv"
DELIVERY_LOG = "deliveryloggroup-physical:log-stream:deliverylogstream-physical"
CATALOG = f"arn:aws:athena:ap-southeast-2:{ACCOUNT}:datacatalog/AwsDataCatalog"
WORKGROUP = f"arn:aws:athena:ap-southeast-2:{ACCOUNT}:workgroup/stack-athena"

KMS_BUCKETS = [bucket for bucket in all_resources("AWS::S3::Bucket") if bucket.id != "AccessLogBucket"]
SSE = "s3:x-amz-server-side-encryption"
KEY_ID = "s3:x-amz-server-side-encryption-aws-kms-key-id"
OVER_TLS = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.2"}

# What an upload says -> whether the bucket refuses it. {key} is the bucket's own key.
UPLOADS = {
    "says nothing, the default encrypts": ({}, False),
    "names our key": ({SSE: "aws:kms", KEY_ID: "{key}"}, False),
    "asks for SSE-S3": ({SSE: "AES256"}, True),
    "asks for double encryption": ({SSE: "aws:kms:dsse", KEY_ID: "{key}"}, True),
    "names another key": ({SSE: "aws:kms", KEY_ID: OTHER_KEY}, True),
    "says KMS without a key, which is aws/s3": ({SSE: "aws:kms"}, True),
    "comes over plain HTTP": ({"aws:SecureTransport": "false"}, True),
    "comes over TLS 1.1": ({"s3:TlsVersion": "1.1"}, True),
    "comes over TLS 1.3": ({"s3:TlsVersion": "1.3"}, False),
}


@pytest.mark.parametrize("upload", UPLOADS)
@pytest.mark.parametrize("bucket", KMS_BUCKETS, ids=str)
def test_a_bucket_refuses_uploads_that_choose_their_own_encryption(bucket: Resource, upload: str) -> None:
    """Given a bucket with a default key, when an upload arrives, then only the default or that key gets in."""
    said, refused = UPLOADS[upload]
    filled = Filled(bucket.template)
    key = bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"]
    context = {**OVER_TLS, **{name: value.format(key=key["KMSMasterKeyID"]) for name, value in said.items()}}
    policy = statements(one_resource(bucket.template, f"{bucket.id}Policy", without={"HasOrganization"}))
    object_arn = f"{filled.value({'Fn::GetAtt': [bucket.id, 'Arn']})}/transactions/a.jsonl"
    assert policy_denies(policy, "s3:PutObject", object_arn, context) is refused


ORGANIZATION = "o-a1b2c3d4e5"
BOUNDED_BUCKETS = [bucket for bucket in KMS_BUCKETS if bucket.id != "AccessLogBucket"]


@pytest.mark.parametrize("bucket", BOUNDED_BUCKETS, ids=str)
def test_an_organization_keeps_a_bucket_to_itself(bucket: Resource) -> None:
    """Given an organization, when somebody from outside or nobody asks, then no; a service for itself is not asked.

    Without one, the bucket's policy says nothing about it.
    """
    policy = statements(one_resource(bucket.template, f"{bucket.id}Policy"))
    arn = Filled(bucket.template).value({"Fn::GetAtt": [bucket.id, "Arn"]})
    person = {**OVER_TLS, "aws:PrincipalIsAWSService": "false"}
    service = {**OVER_TLS, "aws:PrincipalIsAWSService": "true"}
    assert not policy_denies(policy, "s3:GetObject", f"{arn}/a", {**person, "aws:PrincipalOrgID": ORGANIZATION})
    assert policy_denies(policy, "s3:GetObject", f"{arn}/a", {**person, "aws:PrincipalOrgID": "o-another000"})
    assert policy_denies(policy, "s3:ListBucket", arn, person)
    assert not policy_denies(policy, "s3:PutObject", f"{arn}/a", service)
    off = statements(one_resource(bucket.template, f"{bucket.id}Policy", without={"HasOrganization"}))
    assert not policy_denies(off, "s3:ListBucket", arn, person)


# What is asked of the artifacts bucket -> whether the bucket refuses it. A part of an upload carries no condition.
WHOLE, PART = ({"s3:ObjectCreationOperation": whole} for whole in ("true", "false"))
ON_RELEASES = [
    ("s3:PutObject", "artifacts/0123/base_tables.py", {**WHOLE, "s3:if-none-match": "*"}, False),
    ("s3:PutObject", "artifacts/0123/base_tables.py", WHOLE, True),
    ("s3:PutObject", "artifacts/0123/base_tables.py", {**WHOLE, "s3:if-match": "etag"}, True),
    ("s3:PutObject", "artifacts/0123/base_tables.py", PART, False),
    ("s3:PutObject", "releases/0123.json", WHOLE, True),
    ("s3:DeleteObject", "releases/0123.json", {}, True),
    ("s3:DeleteObjectVersion", "artifacts/0123/base_tables.py", {}, True),
    ("s3:PutObject", "ledger/uat/current.json", {**WHOLE, "s3:if-match": "etag"}, False),
    ("s3:DeleteObject", "locks/uat.json", {}, False),
]


@pytest.mark.parametrize(("action", "key", "context", "refused"), ON_RELEASES)
def test_a_release_is_never_changed(action: str, key: str, context: dict[str, str], refused: bool) -> None:
    """Given what a release is made of, when somebody overwrites or deletes it, then the bucket refuses, whoever it is."""
    policy = statements(one_resource("bootstrap", "ArtifactsBucketPolicy", without={"HasOrganization"}))
    arn = Filled("bootstrap").value({"Fn::GetAtt": ["ArtifactsBucket", "Arn"]})
    assert policy_denies(policy, action, f"{arn}/{key}", {**OVER_TLS, **context}) is refused


# What is asked of the base bucket -> whether the bucket refuses it.
ON_STATEMENTS = [
    ("s3:PutObject", "statements/issued/000001.json", {**WHOLE, "s3:if-none-match": "*"}, False),
    ("s3:PutObject", "statements/issued/000001.json", WHOLE, True),
    ("s3:PutObject", "statements/issued/000001.json", {**WHOLE, "s3:if-match": "etag"}, True),
    ("s3:DeleteObject", "statements/issued/000001.json", {}, True),
    ("s3:DeleteObjectVersion", "statements/month=2026-10/refunds.csv", {}, True),
    ("s3:PutObject", "base/_runs/lock", WHOLE, False),
    ("s3:DeleteObject", "base/_runs/lock", {}, False),
]


@pytest.mark.parametrize(("action", "key", "context", "refused"), ON_STATEMENTS)
def test_a_statement_is_never_changed(action: str, key: str, context: dict[str, str], refused: bool) -> None:
    """Given an issued statement, when somebody overwrites or deletes it, then the bucket refuses, whoever it is."""
    policy = statements(one_resource("storage", "BaseBucketPolicy", without={"HasOrganization"}))
    arn = Filled("storage").value({"Fn::GetAtt": ["BaseBucket", "Arn"]})
    assert policy_denies(policy, action, f"{arn}/{key}", {**OVER_TLS, **context}) is refused


@pytest.mark.parametrize("bucket", all_resources("AWS::S3::Bucket"), ids=str)
def test_a_bucket_talks_tls_only(bucket: Resource) -> None:
    """Given any bucket, when a request comes over plain HTTP or old TLS, then nothing is done, not even listing."""
    policy = statements(one_resource(bucket.template, f"{bucket.id}Policy", without={"HasOrganization"}))
    arn = Filled(bucket.template).value({"Fn::GetAtt": [bucket.id, "Arn"]})
    for action, target in (("s3:ListBucket", arn), ("s3:GetObject", f"{arn}/a"), ("s3:DeleteObject", f"{arn}/a")):
        assert policy_denies(policy, action, target, {"aws:SecureTransport": "false"})
        assert policy_denies(policy, action, target, {"aws:SecureTransport": "true", "s3:TlsVersion": "1.1"})
        assert not policy_denies(policy, action, target, OVER_TLS)


# (role, action, resource, condition keys of the request, allowed)
REQUESTS = [
    # The job reads raw, below two prefixes, and never writes there.
    ("glue/JobRole", "s3:ListBucket", RAW, {"s3:prefix": "transactions/"}, True),
    ("glue/JobRole", "s3:ListBucket", RAW, {"s3:prefix": "smoke/r1/transactions/"}, True),
    ("glue/JobRole", "s3:ListBucket", RAW, {"s3:prefix": ""}, False),
    ("glue/JobRole", "s3:ListBucket", RAW, {"s3:prefix": "delivery-errors/"}, False),
    ("glue/JobRole", "s3:ListBucket", RAW, {}, True),  # a GET of an object that is gone: 404 instead of 403
    ("glue/JobRole", "s3:GetObject", f"{RAW}/transactions/source=s3/ingest_date=2026-10-01/a.jsonl", {}, True),
    ("glue/JobRole", "s3:GetObject", f"{RAW}/delivery-errors/source=stream/a", {}, False),
    ("glue/JobRole", "s3:PutObject", f"{RAW}/transactions/source=s3/a.jsonl", {}, False),
    ("glue/JobRole", "s3:DeleteObject", f"{RAW}/transactions/source=s3/a.jsonl", {}, False),
    # It owns the base bucket's two prefixes.
    ("glue/JobRole", "s3:PutObject", f"{BASE}/base/refund/month=2026-10/run=r/part-0.parquet", {}, True),
    ("glue/JobRole", "s3:DeleteObject", f"{BASE}/smoke/_runs/lock", {}, True),
    ("glue/JobRole", "s3:ListBucketMultipartUploads", BASE, {}, True),
    ("glue/JobRole", "s3:PutObject", f"{BASE}/elsewhere/a", {}, False),
    ("glue/JobRole", "s3:ListBucket", BASE, {"s3:prefix": "base/_runs/"}, True),
    ("glue/JobRole", "s3:ListBucket", BASE, {"s3:prefix": "statements/"}, False),
    ("glue/JobRole", "s3:GetBucketLocation", BASE, {}, True),
    ("glue/JobRole", "s3:DeleteObjectVersion", f"{BASE}/base/refund/a", {}, False),
    ("glue/JobRole", "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": S3}, True),
    ("glue/JobRole", "kms:Decrypt", DATA_KEY, {}, False),
    ("glue/JobRole", "kms:Decrypt", OTHER_KEY, {"kms:ViaService": S3}, False),
    # Its code is the released one, and it cannot change it.
    ("glue/JobRole", "s3:GetObject", f"{ARTIFACTS}/artifacts/0123/base_tables.py", {}, True),
    ("glue/JobRole", "s3:GetObject", f"{ARTIFACTS}/releases/0123.json", {}, False),
    ("glue/JobRole", "s3:PutObject", f"{ARTIFACTS}/artifacts/0123/base_tables.py", {}, False),
    ("glue/JobRole", "kms:Decrypt", ARTIFACTS_KEY, {"kms:ViaService": S3}, True),
    ("glue/JobRole", "kms:GenerateDataKey", ARTIFACTS_KEY, {"kms:ViaService": S3}, False),
    # It moves partitions of two databases and changes no table.
    ("glue/JobRole", "glue:BatchUpdatePartition", f"{GLUE}:catalog", {}, True),
    ("glue/JobRole", "glue:BatchUpdatePartition", f"{GLUE}:database/base_database", {}, True),
    ("glue/JobRole", "glue:BatchUpdatePartition", f"{GLUE}:table/smoke_database/refund", {}, True),
    ("glue/JobRole", "glue:BatchUpdatePartition", f"{GLUE}:table/another_database/refund", {}, False),
    ("glue/JobRole", "glue:BatchDeletePartition", f"{GLUE}:table/base_database/refund", {}, False),
    ("glue/JobRole", "glue:UpdateTable", f"{GLUE}:table/base_database/refund", {}, False),
    ("glue/JobRole", "glue:DeleteTable", f"{GLUE}:table/base_database/refund", {}, False),
    # It sees how its own runs stand, and neither starts nor stops any.
    ("glue/JobRole", "glue:GetJobRun", f"{GLUE}:job/stack-glue-base-tables", {}, True),
    ("glue/JobRole", "glue:GetJobRun", f"{GLUE}:job/another", {}, False),
    ("glue/JobRole", "glue:StartJobRun", f"{GLUE}:job/stack-glue-base-tables", {}, False),
    # It counts in its namespace and Glue's, and logs to its own groups.
    ("glue/JobRole", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "RefundsLake"}, True),
    ("glue/JobRole", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "Glue"}, True),
    ("glue/JobRole", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/Billing"}, False),
    ("glue/JobRole", "logs:PutLogEvents", f"{LOGS}/stack-glue/base-tables/s-role/r/error:log-stream:jr_1", {}, True),
    ("glue/JobRole", "logs:PutLogEvents", f"{LOGS}/aws-glue/jobs/error:log-stream:jr_1", {}, False),
    # The validation queries the live tables in one workgroup, reads the manifests beside them, and writes reports.
    (VALIDATION, "athena:StartQueryExecution", WORKGROUP, {}, True),
    (VALIDATION, "athena:StartQueryExecution", WORKGROUP.replace("stack-athena", "primary"), {}, False),
    (VALIDATION, "athena:UpdateWorkGroup", WORKGROUP, {}, False),
    (VALIDATION, "glue:GetPartitions", f"{GLUE}:table/base_database/refund", {}, True),
    (VALIDATION, "glue:GetPartitions", f"{GLUE}:table/smoke_database/refund", {}, False),
    (VALIDATION, "glue:BatchUpdatePartition", f"{GLUE}:table/base_database/refund", {}, False),
    (VALIDATION, "s3:ListBucket", BASE, {"s3:prefix": "base/_runs/"}, True),
    (VALIDATION, "s3:ListBucket", BASE, {"s3:prefix": "statements/"}, False),
    (VALIDATION, "s3:GetObject", f"{BASE}/base/_runs/20261001T000000Z-00000001.json", {}, True),
    (VALIDATION, "s3:PutObject", f"{BASE}/base/_runs/20261001T000000Z-00000001.json", {}, False),
    (VALIDATION, "s3:PutObject", f"{BASE}/validation/date=2026-10-01/report.json", {}, True),
    (VALIDATION, "s3:DeleteObject", f"{BASE}/validation/date=2026-10-01/report.json", {}, False),
    (VALIDATION, "s3:GetObject", f"{RAW}/transactions/source=s3/a.csv", {}, False),
    (VALIDATION, "s3:PutObject", f"{RESULTS}/reports/a.csv", {}, True),
    (VALIDATION, "s3:GetBucketLocation", RESULTS, {}, True),
    (VALIDATION, "sns:Publish", TOPIC, {}, True),
    (VALIDATION, "kms:GenerateDataKey", LOGS_KEY, {"kms:ViaService": SNS}, True),
    (VALIDATION, "kms:Decrypt", LOGS_KEY, {}, False),
    (VALIDATION, "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": S3}, True),
    (VALIDATION, "kms:Decrypt", DATA_KEY, {}, False),
    (VALIDATION, "logs:PutLogEvents", f"{LOGS}validationloggroup-physical:log-stream:2026", {}, True),
    (VALIDATION, "logs:PutLogEvents", f"{LOGS}/stack-glue/base-tables/error:log-stream:jr_1", {}, False),
    (VALIDATION, "sqs:SendMessage", FAILURES, {}, True),
    (VALIDATION, "sqs:ReceiveMessage", FAILURES, {}, False),
    ("operations/ValidationScheduleRole", "lambda:InvokeFunction", FUNCTION, {}, True),
    ("operations/ValidationScheduleRole", "lambda:InvokeFunction", FUNCTION.replace("validation", "other"), {}, False),
    ("operations/ValidationScheduleRole", "sqs:SendMessage", FAILURES, {}, True),
    # The month end queries like the validation, writes statements and deletes none, and reads which release is deployed.
    (MONTH_END, "athena:StartQueryExecution", WORKGROUP, {}, True),
    (MONTH_END, "glue:GetPartitions", f"{GLUE}:table/base_database/refund_detail", {}, True),
    (MONTH_END, "glue:GetPartitions", f"{GLUE}:table/smoke_database/refund_detail", {}, False),
    (MONTH_END, "glue:BatchUpdatePartition", f"{GLUE}:table/base_database/refund_detail", {}, False),
    (MONTH_END, "s3:ListBucket", BASE, {"s3:prefix": "statements/issued/"}, True),
    (MONTH_END, "s3:ListBucket", BASE, {"s3:prefix": "validation/"}, False),
    (MONTH_END, "s3:GetObject", f"{BASE}/base/_runs/00000001.json", {}, True),
    (MONTH_END, "s3:PutObject", f"{BASE}/base/_runs/00000001.json", {}, False),
    (MONTH_END, "s3:PutObject", f"{BASE}/statements/issued/000001.json", {}, True),
    (MONTH_END, "s3:DeleteObject", f"{BASE}/statements/issued/000001.json", {}, False),
    (MONTH_END, "s3:GetObject", f"{RAW}/transactions/source=s3/a.csv", {}, False),
    (MONTH_END, "s3:GetObject", f"{ARTIFACTS}/ledger/{LONGEST_ENVIRONMENT}/current.json", {}, True),
    (MONTH_END, "s3:GetObject", f"{ARTIFACTS}/ledger/{LONGEST_ENVIRONMENT}/lock.json", {}, False),
    (MONTH_END, "s3:PutObject", f"{ARTIFACTS}/ledger/{LONGEST_ENVIRONMENT}/current.json", {}, False),
    (MONTH_END, "s3:PutObject", f"{RESULTS}/reports/a.csv", {}, True),
    (MONTH_END, "s3:GetBucketLocation", RESULTS, {}, True),
    (MONTH_END, "sns:Publish", TOPIC, {}, True),
    (MONTH_END, "kms:GenerateDataKey", LOGS_KEY, {"kms:ViaService": SNS}, True),
    (MONTH_END, "logs:PutLogEvents", f"{LOGS}statementloggroup-physical:log-stream:2026", {}, True),
    (MONTH_END, "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": S3}, True),
    (MONTH_END, "kms:Decrypt", ARTIFACTS_KEY, {"kms:ViaService": S3}, True),
    (MONTH_END, "kms:Decrypt", ARTIFACTS_KEY, {}, False),
    (MONTH_END, "sqs:SendMessage", FAILURES.replace("validation", "statement"), {}, True),
    (MONTH_END, "sqs:SendMessage", FAILURES, {}, False),
    (
        "month_end/StatementScheduleRole",
        "lambda:InvokeFunction",
        FUNCTION.replace("validation", "issuestatement"),
        {},
        True,
    ),
    ("month_end/StatementScheduleRole", "lambda:InvokeFunction", FUNCTION, {}, False),
    ("month_end/StatementScheduleRole", "sqs:SendMessage", FAILURES.replace("validation", "statement"), {}, True),
    # The one that tells Slack reads one secret, remembers what it told, and looks at the runs of one job.
    ("alerts/NotifyRole", "secretsmanager:GetSecretValue", WEBHOOK, {}, True),
    ("alerts/NotifyRole", "secretsmanager:GetSecretValue", WEBHOOK.replace("slackwebhook", "other"), {}, False),
    ("alerts/NotifyRole", "secretsmanager:PutSecretValue", WEBHOOK, {}, False),
    ("alerts/NotifyRole", "kms:Decrypt", DATA_KEY, {"kms:ViaService": SECRETS}, True),
    ("alerts/NotifyRole", "kms:Decrypt", DATA_KEY, {}, False),
    ("alerts/NotifyRole", "s3:PutObject", f"{BASE}/alerts/told/0.json", {}, True),
    ("alerts/NotifyRole", "s3:PutObject", f"{BASE}/base/_runs/0.json", {}, False),
    ("alerts/NotifyRole", "glue:GetJobRun", f"{GLUE}:job/stack-glue-base-tables", {}, True),
    ("alerts/NotifyRole", "glue:StartJobRun", f"{GLUE}:job/stack-glue-base-tables", {}, False),
    ("alerts/NotifyRole", "sns:Publish", TOPIC, {}, False),
    ("alerts/NotifyRole", "s3:ListBucket", BASE, {"s3:prefix": "alerts/open/"}, True),
    ("alerts/NotifyRole", "s3:ListBucket", BASE, {"s3:prefix": "statements/"}, False),
    ("alerts/NotifyRole", "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": S3}, True),
    ("alerts/NotifyRole", "logs:PutLogEvents", f"{LOGS}notifyloggroup-physical:log-stream:2026", {}, True),
    ("alerts/NotifyRole", "sqs:SendMessage", FAILURES.replace("validation", "alert"), {}, True),
    # The schedule of the job starts that job, and the crawlers' schedule the crawlers.
    ("operations/JobScheduleRole", "glue:StartJobRun", f"{GLUE}:job/stack-glue-base-tables", {}, True),
    ("operations/JobScheduleRole", "glue:StartJobRun", f"{GLUE}:job/another", {}, False),
    ("operations/JobScheduleRole", "glue:StartCrawler", f"{GLUE}:crawler/stack-crawlers-raw", {}, False),
    ("operations/JobScheduleRole", "sqs:SendMessage", FAILURES.replace("validation", "jobschedule"), {}, True),
    ("crawlers/CrawlScheduleRole", "glue:StartCrawler", f"{GLUE}:crawler/stack-crawlers-raw", {}, True),
    ("crawlers/CrawlScheduleRole", "glue:StartJobRun", f"{GLUE}:job/stack-glue-base-tables", {}, False),
    ("crawlers/CrawlScheduleRole", "sqs:SendMessage", FAILURES.replace("validation", "crawl"), {}, True),
    # Crawlers read what sources send and what the job has published, and write catalogs of their own.
    ("crawlers/CrawlerRole", "s3:GetObject", f"{RAW}/transactions/source=s3/a.csv", {}, True),
    ("crawlers/CrawlerRole", "s3:PutObject", f"{RAW}/transactions/source=s3/a.csv", {}, False),
    ("crawlers/CrawlerRole", "s3:ListBucket", BASE, {"s3:prefix": "base/refund/"}, True),
    ("crawlers/CrawlerRole", "kms:Decrypt", DATA_KEY, {"kms:ViaService": S3}, True),
    ("crawlers/CrawlerRole", "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": S3}, False),
    ("crawlers/CrawlerRole", "logs:PutLogEvents", f"{LOGS}/aws-glue/crawlers:log-stream:a", {}, True),
    ("crawlers/CrawlerRole", "glue:CreateTable", f"{GLUE}:table/rawdatabase-physical/x", {}, True),
    ("crawlers/CrawlerRole", "glue:UpdateTable", f"{GLUE}:table/base_database/refund", {}, False),
    ("crawlers/CrawlerRole", "glue:BatchCreatePartition", f"{GLUE}:table/base_database/refund", {}, False),
    ("crawlers/CrawledRole", "glue:GetPartitions", f"{GLUE}:table/base_database/refund", {}, True),
    ("crawlers/CrawledRole", "glue:UpdateTable", f"{GLUE}:table/base_database/refund", {}, False),
    ("crawlers/CrawledRole", "glue:UpdateTable", f"{GLUE}:table/rawdatabase-physical/x", {}, True),
    ("crawlers/CrawledRole", "sns:Publish", TOPIC, {}, True),
    ("crawlers/CrawledRole", "kms:GenerateDataKey", LOGS_KEY, {"kms:ViaService": SNS}, True),
    ("crawlers/CrawledRole", "logs:PutLogEvents", f"{LOGS}crawledloggroup-physical:log-stream:2026", {}, True),
    ("crawlers/CrawledRole", "sqs:SendMessage", FAILURES.replace("validation", "crawl"), {}, True),
    # A review writes the side tables with whatever code, and never a live one.
    ("glue/ReviewRole", "s3:GetObject", f"{RAW}/transactions/source=s3/ingest_date=2026-10-01/a.jsonl", {}, True),
    ("glue/ReviewRole", "s3:PutObject", f"{BASE}/smoke/refund/month=2026-10/run=r/part-0.parquet", {}, True),
    ("glue/ReviewRole", "s3:DeleteObject", f"{BASE}/smoke/_runs/lock", {}, True),
    ("glue/ReviewRole", "s3:PutObject", f"{BASE}/base/refund/month=2026-10/run=r/part-0.parquet", {}, False),
    ("glue/ReviewRole", "s3:DeleteObject", f"{BASE}/base/_runs/lock", {}, False),
    ("glue/ReviewRole", "s3:ListBucket", BASE, {"s3:prefix": "base/"}, False),
    ("glue/ReviewRole", "s3:ListBucket", BASE, {"s3:prefix": "smoke/_runs/"}, True),
    ("glue/ReviewRole", "s3:ListBucketMultipartUploads", BASE, {}, True),
    ("glue/ReviewRole", "s3:ListBucket", RAW, {"s3:prefix": "transactions/"}, True),
    ("glue/JobRole", "s3:ListBucketVersions", RAW, {"s3:prefix": "transactions/"}, True),
    ("glue/JobRole", "s3:ListBucketVersions", RAW, {"s3:prefix": "delivery-errors/"}, False),
    ("glue/JobRole", "s3:ListBucketVersions", RAW, {}, False),
    ("glue/ReviewRole", "s3:ListBucketVersions", RAW, {"s3:prefix": "smoke/r1/transactions/"}, True),
    ("glue/ReviewRole", "s3:GetBucketLocation", RAW, {}, True),
    ("glue/ReviewRole", "glue:GetJobRun", f"{GLUE}:job/stack-glue-review", {}, True),
    ("glue/ReviewRole", "glue:GetJobRun", f"{GLUE}:job/stack-glue-base-tables", {}, False),
    ("glue/ReviewRole", "kms:Decrypt", ARTIFACTS_KEY, {"kms:ViaService": S3}, True),
    ("glue/ReviewRole", "glue:BatchUpdatePartition", f"{GLUE}:table/smoke_database/refund", {}, True),
    ("glue/ReviewRole", "glue:BatchUpdatePartition", f"{GLUE}:table/base_database/refund", {}, False),
    ("glue/ReviewRole", "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": S3}, True),
    ("glue/ReviewRole", "s3:GetObject", f"{ARTIFACTS}/artifacts/0123/base_tables.py", {}, True),
    ("glue/ReviewRole", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "Glue"}, True),
    ("glue/ReviewRole", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "RefundsLake"}, False),
    ("glue/ReviewRole", "logs:PutLogEvents", f"{LOGS}/stack-glue/review/s-role/r/output:log-stream:jr_1", {}, True),
    # The partner puts new files in one place, overwrites none, and sees nothing.
    ("ingest/DropRole", "s3:PutObject", DROPPED, {"s3:ObjectCreationOperation": "true"}, False),
    ("ingest/DropRole", "s3:PutObject", DROPPED, {"s3:ObjectCreationOperation": "true", "s3:if-match": "e"}, False),
    ("ingest/DropRole", "s3:PutObject", DROPPED, {"s3:ObjectCreationOperation": "true", "s3:if-none-match": "*"}, True),
    ("ingest/DropRole", "s3:PutObject", DROPPED, {"s3:ObjectCreationOperation": "false"}, True),
    ("ingest/DropRole", "s3:AbortMultipartUpload", f"{RAW}/transactions/source=s3/a.csv", {}, True),
    ("ingest/DropRole", "s3:PutObject", f"{RAW}/transactions/source=stream/a.csv", {"s3:if-none-match": "*"}, False),
    ("ingest/DropRole", "s3:GetObject", f"{RAW}/transactions/source=s3/a.csv", {}, False),
    ("ingest/DropRole", "s3:DeleteObject", f"{RAW}/transactions/source=s3/a.csv", {}, False),
    ("ingest/DropRole", "s3:ListBucket", RAW, {"s3:prefix": "transactions/source=s3/"}, False),
    ("ingest/DropRole", "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": S3}, True),
    ("ingest/DropRole", "kms:Decrypt", DATA_KEY, {}, False),
    ("ingest/DropRole", "kms:Decrypt", DATA_KEY, {"kms:ViaService": KINESIS}, False),
    # A third-party tool puts files in one place, also over its own, and sees nothing.
    (TOOL, "s3:PutObject", f"{RAW}/transactions/source=third-party/crm/refunds/1_1790000000000.csv", {}, True),
    (TOOL, "s3:AbortMultipartUpload", f"{RAW}/transactions/source=third-party/a.csv", {}, True),
    (TOOL, "s3:PutObject", f"{RAW}/transactions/source=s3/a.csv", {"s3:if-none-match": "*"}, False),
    (TOOL, "s3:PutObject", f"{RAW}/transactions/source=third-party-b/a.csv", {}, False),
    (TOOL, "s3:GetObject", f"{RAW}/transactions/source=third-party/a.csv", {}, False),
    (TOOL, "s3:DeleteObject", f"{RAW}/transactions/source=third-party/a.csv", {}, False),
    (TOOL, "s3:ListBucket", RAW, {"s3:prefix": "transactions/source=third-party/"}, False),
    (TOOL, "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": S3}, True),
    (TOOL, "kms:Decrypt", DATA_KEY, {}, False),
    # The API's function puts onto one stream, and neither reads it nor puts single records past its count.
    ("api/IngestRole", "kinesis:PutRecords", STREAM, {}, True),
    ("api/IngestRole", "kinesis:GetRecords", STREAM, {}, False),
    ("api/IngestRole", "kinesis:PutRecords", STREAM + "-other", {}, False),
    ("api/IngestRole", "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": KINESIS}, True),
    ("api/IngestRole", "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": S3}, False),
    ("api/IngestRole", "kms:Decrypt", DATA_KEY, {"kms:ViaService": KINESIS}, False),
    ("api/IngestRole", "logs:PutLogEvents", f"{LOGS}ingestloggroup-physical:log-stream:2026", {}, True),
    ("api/IngestRole", "logs:PutLogEvents", f"{LOGS}apiloggroup-physical:log-stream:2026", {}, False),
    ("api/IngestRole", "s3:PutObject", f"{RAW}/transactions/source=stream/a.gz", {}, False),
    ("api/ApiLogRole", "logs:PutLogEvents", f"{LOGS}apiloggroup-physical:log-stream:a", {}, True),
    ("api/ApiLogRole", "logs:DeleteLogGroup", f"{LOGS}apiloggroup-physical", {}, False),
    # A user of the SFTP server lists and puts; what waits for its name it may read and delete, which is a rename.
    (SFTP, "s3:ListBucket", RAW, {"s3:prefix": "transactions/source=sftp/acme/"}, True),
    (SFTP, "s3:ListBucket", RAW, {"s3:prefix": "transactions/source=s3/"}, False),
    (SFTP, "s3:ListBucket", RAW, {}, False),
    (SFTP, "s3:GetBucketLocation", RAW, {}, True),
    (SFTP, "s3:PutObject", f"{UPLOADED}/day.csv", {}, True),
    (SFTP, "s3:PutObject", f"{RAW}/transactions/source=s3/day.csv", {"s3:if-none-match": "*"}, False),
    (SFTP, "s3:GetObject", f"{UPLOADED}/day.csv", {}, False),
    (SFTP, "s3:DeleteObject", f"{UPLOADED}/day.csv", {}, False),
    (SFTP, "s3:GetObject", f"{UPLOADED}/day.csv.tmp", {}, True),
    (SFTP, "s3:DeleteObject", f"{UPLOADED}/day.csv.filepart", {}, True),
    (SFTP, "s3:DeleteObject", f"{UPLOADED}/.day.csv", {}, True),
    (SFTP, "s3:DeleteObjectVersion", f"{UPLOADED}/day.csv.tmp", {}, False),
    (SFTP, "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": S3}, True),
    (SFTP, "kms:Decrypt", DATA_KEY, {}, False),
    # Replication reads transaction files and writes their replicas, in one bucket and with one key.
    (REPLICATION, "s3:GetReplicationConfiguration", "arn:aws:s3:::rawbucket-physical", {}, True),
    (REPLICATION, "s3:GetObjectVersionForReplication", f"{OWN_RAW}/transactions/source=s3/a.csv", {}, True),
    (REPLICATION, "s3:GetObjectVersionForReplication", f"{OWN_RAW}/smoke/a.csv", {}, False),
    (REPLICATION, "s3:ReplicateObject", f"{REPLICA}/transactions/source=s3/a.csv", {}, True),
    (REPLICATION, "s3:ReplicateObject", f"{OWN_RAW}/transactions/source=s3/a.csv", {}, False),
    (REPLICATION, "s3:ReplicateDelete", f"{REPLICA}/transactions/source=s3/a.csv", {}, False),
    (REPLICATION, "s3:PutObject", f"{REPLICA}/transactions/source=s3/a.csv", {}, False),
    (REPLICATION, "kms:Encrypt", REPLICA_KEY, {"kms:ViaService": S3}, True),
    (REPLICATION, "kms:Decrypt", REPLICA_KEY, {"kms:ViaService": S3}, False),
    (REPLICATION, "kms:Decrypt", OWN_KEY, {"kms:ViaService": S3}, True),
    (REPLICATION, "kms:Decrypt", OWN_KEY, {}, False),
    # Firehose reads one stream, writes two prefixes, and reports.
    ("ingest/DeliveryRole", "kinesis:GetRecords", STREAM, {}, True),
    ("ingest/DeliveryRole", "kinesis:PutRecord", STREAM, {}, False),
    ("ingest/DeliveryRole", "kms:Decrypt", DATA_KEY, {"kms:ViaService": KINESIS}, True),
    ("ingest/DeliveryRole", "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": S3}, True),
    ("ingest/DeliveryRole", "s3:PutObject", f"{RAW}/transactions/source=stream/ingest_date=2026-10-01/a.gz", {}, True),
    ("ingest/DeliveryRole", "s3:PutObject", f"{RAW}/delivery-errors/source=stream/a", {}, True),
    ("ingest/DeliveryRole", "s3:PutObject", f"{RAW}/transactions/source=s3/a", {}, False),
    ("ingest/DeliveryRole", "s3:DeleteObject", f"{RAW}/transactions/source=stream/a", {}, False),
    ("ingest/DeliveryRole", "s3:ListBucketMultipartUploads", RAW, {}, True),
    ("ingest/DeliveryRole", "logs:PutLogEvents", f"{LOGS}{DELIVERY_LOG}", {}, True),
]


@pytest.mark.parametrize(("role", "action", "resource", "context", "allowed"), REQUESTS)
def test_a_role_may_do_its_work_and_no_more(
    role: str, action: str, resource: str, context: dict[str, str], allowed: bool
) -> None:
    """Given a role, when it asks for something, then the answer is the table's."""
    template, logical_id = role.split("/")
    assert policy_allows(role_rights(template, logical_id), action, resource, context) is allowed


# The same for the managed policies that others attach.
ATTACHED = [
    ("ingest/StreamWriters", "kinesis:PutRecords", STREAM, {}, True),
    ("ingest/StreamWriters", "kinesis:GetRecords", STREAM, {}, False),
    ("ingest/StreamWriters", "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": KINESIS}, True),
    ("ingest/StreamWriters", "kms:Decrypt", DATA_KEY, {"kms:ViaService": KINESIS}, False),
    ("api/ApiCallers", "execute-api:Invoke", f"{API}/v1/POST/transactions", {}, True),
    ("api/ApiCallers", "execute-api:Invoke", f"{API}/v1/GET/transactions", {}, False),
    ("api/ApiCallers", "execute-api:Invoke", f"{API}/v2/POST/transactions", {}, False),
    ("api/ApiCallers", "kinesis:PutRecords", STREAM, {}, False),
    ("athena/ReportReaders", "athena:StartQueryExecution", WORKGROUP, {}, True),
    ("athena/ReportReaders", "athena:StartQueryExecution", WORKGROUP.replace("stack-athena", "primary"), {}, False),
    ("athena/ReportReaders", "athena:UpdateWorkGroup", WORKGROUP, {}, False),
    ("athena/ReportReaders", "athena:ListWorkGroups", "*", {}, True),
    ("athena/ReportReaders", "athena:ListDataCatalogs", "*", {}, True),
    ("athena/ReportReaders", "athena:GetTableMetadata", CATALOG, {}, True),
    ("athena/ReportReaders", "athena:ListDatabases", CATALOG, {}, True),
    ("athena/ReportReaders", "athena:GetQueryResultsStream", WORKGROUP, {}, True),
    ("athena/ReportReaders", "athena:UpdateDataCatalog", CATALOG, {}, False),
    ("athena/ReportReaders", "glue:GetDatabases", f"{GLUE}:catalog", {}, True),
    ("athena/ReportReaders", "glue:GetPartitions", f"{GLUE}:table/base_database/refund_detail", {}, True),
    ("athena/ReportReaders", "glue:GetPartitions", f"{GLUE}:table/smoke_database/refund_detail", {}, False),
    ("athena/ReportReaders", "glue:BatchUpdatePartition", f"{GLUE}:table/base_database/refund", {}, False),
    ("athena/ReportReaders", "s3:GetObject", f"{BASE}/base/refund/month=2026-10/run=r/part-0.parquet", {}, True),
    ("athena/ReportReaders", "s3:GetObject", f"{RAW}/transactions/source=s3/a.csv", {}, False),
    ("athena/ReportReaders", "s3:PutObject", f"{BASE}/base/refund/a", {}, False),
    ("athena/ReportReaders", "s3:ListBucket", BASE, {"s3:prefix": "base/refund/"}, True),
    ("athena/ReportReaders", "s3:ListBucket", BASE, {"s3:prefix": "statements/"}, False),
    ("athena/ReportReaders", "s3:GetBucketLocation", RESULTS, {}, True),
    ("athena/ReportReaders", "s3:PutObject", f"{RESULTS}/reports/a.csv", {}, True),
    ("athena/ReportReaders", "kms:GenerateDataKey", DATA_KEY, {"kms:ViaService": S3}, True),
    ("athena/ReportReaders", "kms:Decrypt", DATA_KEY, {}, False),
]


@pytest.mark.parametrize(("policy", "action", "resource", "context", "allowed"), ATTACHED)
def test_an_attached_policy_gives_what_it_says(
    policy: str, action: str, resource: str, context: dict[str, str], allowed: bool
) -> None:
    """Given a policy for others to attach, when its holder asks for something, then the answer is the table's."""
    template, logical_id = policy.split("/")
    assert policy_allows(statements(one_resource(template, logical_id)), action, resource, context) is allowed


GRANTED = {
    **{str(role): role_rights(role.template, role.id) for role in all_resources("AWS::IAM::Role")},
    **{row[0]: statements(one_resource(*row[0].split("/"))) for row in ATTACHED},
}


@pytest.mark.parametrize("holder", GRANTED)
def test_no_statement_can_go_unnoticed(holder: str) -> None:
    """Given a role or a policy for others, when one of its statements goes, then an answer of the tables above changes."""
    asked = [row[1:] for row in (*REQUESTS, *ATTACHED) if row[0] == holder]
    for statement in GRANTED[holder]:
        rest = [each for each in GRANTED[holder] if each is not statement]
        answers = [policy_allows(rest, action, resource, context) for action, resource, context, _ in asked]
        assert answers != [allowed for *_, allowed in asked], statement["Sid"]


@pytest.mark.parametrize(
    ("role", "account", "external_id"),
    [("DropRole", PARTNER, "agreed-with-partner"), ("ThirdPartyRole", THIRD_PARTY, "given-by-the-tool")],
)
def test_only_the_sender_with_the_external_id_takes_its_role(role: str, account: str, external_id: str) -> None:
    """Given the role of a sender, when someone without the agreed external id asks for it, then the answer is no."""
    (trust,) = statements(one_resource("ingest", role))
    judged = [{**trust, "Resource": "*"}]
    assert trust["Principal"] == {"AWS": f"arn:aws:iam::{account}:root"}
    assert policy_allows(judged, "sts:AssumeRole", "*", {"sts:ExternalId": external_id})
    assert not policy_allows(judged, "sts:AssumeRole", "*", {"sts:ExternalId": "guessed"})
    assert not policy_allows(judged, "sts:AssumeRole", "*", {})


def test_a_waiting_name_is_the_same_for_the_job_and_the_sftp_role() -> None:
    """Given the job's rule of names that wait, then these are exactly what a user of the SFTP server may delete."""
    rights = role_rights("sftp", "UserRole")
    for name in ("a.csv", "a.tmp", "a.csv.part", "a.filepart", ".a.csv", "in/.a.csv", "part", "a.tmp.csv", "a.parts"):
        may_delete = policy_allows(rights, "s3:DeleteObject", f"{UPLOADED}/{name}")
        assert may_delete is is_waiting(f"transactions/source=sftp/acme/{name}"), name


def test_a_session_of_sftp_ends_at_the_users_folder() -> None:
    """Given a user written out from the template, then its session policy is short enough and knows its folder alone."""
    template = TEMPLATES["sftp"]
    users = dict.fromkeys(("acme", "acme-west"), ("ssh-ed25519 AAAA",))
    written = parse_template(with_users(template, users), template.path)
    assert {r.logical_id for r in written.resources.values() if r.type == USER_TYPE} == {"Useracme", "UseracmeXwest"}
    properties = written.document["Resources"]["Useracme"]["Properties"]
    policy = Filled("sftp").value(properties["Policy"])
    assert len(policy) <= 2048
    session = json.loads(policy)["Statement"]
    for action in ("s3:PutObject", "s3:DeleteObject"):
        assert policy_allows(session, action, f"{UPLOADED}/day.csv.tmp")
        assert not policy_allows(session, action, f"{UPLOADED}-west/day.csv.tmp")
        assert not policy_allows(session, action, f"{RAW}/transactions/source=sftp/day.csv.tmp")
    assert policy_allows(session, "s3:ListBucket", RAW, {"s3:prefix": "transactions/source=sftp/acme/"})
    assert not policy_allows(session, "s3:ListBucket", RAW, {"s3:prefix": "transactions/source=sftp/acme-west/"})
    assert properties["HomeDirectoryType"] == "LOGICAL"


def test_replicas_come_from_one_role_of_one_account() -> None:
    """Given the raw bucket and its key, when replicas arrive, then they are the source's replication role's, or denied."""
    policy = statements(one_resource("storage", "RawBucketPolicy", without={"HasOrganization"}))
    key = [{**each, "Resource": each["Resource"]} for each in statements(one_resource("storage", "DataKey"))]
    ours = f"arn:aws:iam::{OTHER_ACCOUNT}:role/refunds-lake-prod-storage-ReplicationRole-1A2B"
    for role, allowed in ((ours, True), (f"arn:aws:iam::{OTHER_ACCOUNT}:role/admin", False)):
        said = {**OVER_TLS, "aws:PrincipalArn": role}
        assert policy_allows(policy, "s3:ReplicateObject", f"{OWN_RAW}/transactions/a.csv", said) is allowed
        assert not policy_allows(policy, "s3:ReplicateObject", f"{OWN_RAW}/smoke/a.csv", said)
        assert not policy_allows(policy, "s3:ReplicateDelete", f"{OWN_RAW}/transactions/a.csv", said)
        of_others = [each for each in key if each["Principal"]["AWS"] == f"arn:aws:iam::{OTHER_ACCOUNT}:root"]
        through_s3 = {"aws:PrincipalArn": role, "kms:ViaService": S3}
        assert policy_allows(of_others, "kms:Encrypt", OWN_KEY, through_s3) is allowed
        assert not policy_allows(of_others, "kms:Encrypt", OWN_KEY, {"aws:PrincipalArn": role})
        assert not policy_allows(of_others, "kms:Decrypt", OWN_KEY, through_s3)


def test_nothing_is_replicated_unasked() -> None:
    """Given no account at either end, then there is no role, no rule, and nobody of another account in any policy."""
    off = {"HasReplica", "HasReplicaSource", "HasOrganization"}
    resources = {each.id: each for each in Filled("storage", without=off).resources()}
    assert not {"ReplicationRole", "ReplicationRights"} & resources.keys()
    assert "ReplicationConfiguration" not in resources["RawBucket"].properties
    assert OTHER_ACCOUNT not in str([resources[name].properties for name in ("RawBucketPolicy", "DataKey")])


def test_only_transfer_family_takes_the_role_of_the_users() -> None:
    """Given the role, when another service, account or server asks for it, then the answer is no."""
    (trust,) = statements(one_resource("sftp", "UserRole"))
    judged = [{**trust, "Resource": "*"}]
    of_ours = f"arn:aws:transfer:ap-southeast-2:{ACCOUNT}:user/server-physical/acme"
    assert trust["Principal"] == {"Service": "transfer.amazonaws.com"}
    given = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": of_ours}
    assert policy_allows(judged, "sts:AssumeRole", "*", given)
    assert not policy_allows(judged, "sts:AssumeRole", "*", {**given, "aws:SourceAccount": PARTNER})
    another = of_ours.replace("server-physical", "another")
    assert not policy_allows(judged, "sts:AssumeRole", "*", {**given, "aws:SourceArn": another})


# S3's calls do not have the names of the rights they need.
S3_RIGHTS = {
    "copy_object": {"s3:GetObject", "s3:PutObject"},
    "delete_object": {"s3:DeleteObject"},
    "delete_objects": {"s3:DeleteObject"},
    "get_object": {"s3:GetObject"},
    "head_object": {"s3:GetObject"},
    "list_object_versions": {"s3:ListBucketVersions", "s3:GetObjectVersion"},
    "list_objects_v2": {"s3:ListBucket"},
    "put_object": {"s3:PutObject"},
}


def calls(service: str) -> dict[str, str]:
    """Every call of a service: its name in boto3 and in IAM."""
    operations = botocore.session.get_session().get_service_model(service).operation_names
    return {xform_name(operation): operation for operation in operations}


def words_of(*folders: str) -> set[str]:
    """Every attribute and text in the code of some folders, which is where the names of calls are."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {str(node.value) for node in nodes if isinstance(node, ast.Constant)}


def test_the_job_has_the_rights_that_its_code_needs() -> None:
    """Given the job's code, then its role has the right to every call; and to no call of Glue that it does not make.

    The emulator would let a call pass without. (In S3 Spark calls as well, so more rights are needed than are seen.)
    """
    granted = {action for statement in role_rights("glue", "JobRole") for action in as_list(statement["Action"])}
    words = words_of("glue")
    needed = {f"glue:{action}" for name, action in calls("glue").items() if name in words}
    needed |= {right for name in calls("s3").keys() & words for right in S3_RIGHTS[name]}
    needed |= {f"cloudwatch:{action}" for name, action in calls("cloudwatch").items() if name in words}
    assert needed <= granted
    assert {right for right in granted if right.startswith("glue:")} <= needed


@pytest.mark.parametrize(
    ("template_name", "role", "folders"),
    [
        ("operations", "ValidationRole", ["validate", "refunds_checks"]),
        ("month_end", "StatementRole", ["statement", "refunds_statements", "refunds_checks"]),
    ],
)
def test_a_function_has_the_rights_that_its_code_needs(template_name: str, role: str, folders: list[str]) -> None:
    """Given a function's code, then its role has the right to every call of Athena that it makes, and to no other."""
    granted = {action for each in role_rights(template_name, role) for action in as_list(each["Action"])}
    words = words_of(*(f"functions/{folder}" for folder in folders))
    needed = {f"athena:{action}" for name, action in calls("athena").items() if name in words}
    assert needed == {right for right in granted if right.startswith("athena:")}
