"""Whose fault it is: what failed jobs and queries say, in the words of Glue, Spark, botocore and Athena."""

from __future__ import annotations

import ast

import pytest
from fake_aws import ROOT

from deployer.lake.queries import FailureKind, QueryFailed
from deployer.lake.smoke.faults import (
    CHECKS_OF_THE_JOB,
    WRAPPER_OF_THE_JOB,
    speaks_of_rights,
    speaks_of_the_code,
    speaks_of_the_query,
)

OF_THE_CODE = [
    "CheckFailed: the run does not add up, nothing is published: {'read': 3}",
    "SettingsRefused: the catalog's columns of refund are (), this job writes ('id',)",
    "ArgumentsRefused: unrecognized arguments: --full_refresh",
    "SystemExit: 1",
    "NameError: name 'refunds' is not defined",
    "AssertionError: ",
    "AssertionError",
    "KeyError: 'parent_id'",
    "ModuleNotFoundError: No module named 'refunds_lake.raw.rules'",
    "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff",
    "decimal.InvalidOperation: [<class 'decimal.ConversionSyntax'>]",
    "Error Category: QUERY_ERROR; Failed Line Number: 30; AnalysisException: [UNRESOLVED_COLUMN.WITH_SUGGESTION] amont",
    "Error Category: IMPORT_ERROR; ModuleNotFoundError: No module named 'numpyy'",
    "WorkerFailed: KeyError: 'Field \"x\" exists 2 times in schema'",
    "WorkerFailed: pyarrow.lib.ArrowInvalid: Could not convert 'a' with type str: tried to convert to int64",
]
OF_THE_MACHINE = [
    "LockHeld: run jr_1 is at work on these tables. Start again when it has ended.",
    "Overtaken: another run has published as number 2 while run r was at work; nothing of this one is published.",
    "Py4JError: An error occurred while calling o12.collect",
    "Py4JNetworkError: Answer from Java side is empty",
    "PySparkRuntimeError: [JAVA_GATEWAY_EXITED] Java gateway process exited before sending its port number.",
    "AttributeError: 'NoneType' object has no attribute '_jvm'",
    "TypeError: 'JavaPackage' object is not callable",
    "AnalysisException: [PATH_NOT_FOUND] Path does not exist: s3://base/_staging/x.",
    "ConnectionRefusedError: [Errno 111] Connection refused",
    'EndpointConnectionError: Could not connect to the endpoint URL: "http://127.0.0.1:4566/base"',
    "OSError: [Errno 28] No space left on device",
    "WorkerFailed: OSError: [Errno 28] No space left on device",
    "WorkerFailed: Driver stacktrace:",
    "MemoryError: ",
    "ClientError: An error occurred (AccessDenied) when calling the PutObject operation: Access Denied",
    "WorkerFailed: botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling GetObject",
    "NoSuchBucket: An error occurred (NoSuchBucket) when calling the ListObjectsV2 operation",
    "Py4JJavaError: An error occurred while calling o96.save.\n: java.lang.OutOfMemoryError: Java heap space",
    "TimeoutError: timed out",
    "Command failed with exit code 137",
    "LAUNCH ERROR | File does not exist: s3://artifacts/x.py",
    "Resource unavailable: no capacity",
    "the job run ended FAILED",
    "",
]


@pytest.mark.parametrize("error", OF_THE_CODE)
def test_what_the_job_says_of_its_own_code_counts_against_the_release(error: str) -> None:
    assert speaks_of_the_code(error)


@pytest.mark.parametrize("error", OF_THE_MACHINE)
def test_everything_else_judged_nothing(error: str) -> None:
    assert not speaks_of_the_code(error)


@pytest.mark.parametrize(
    "message",
    [
        "job run jr_1 ended FAILED: ClientError: An error occurred (AccessDenied) when calling the PutObject operation",
        "job run jr_1 ended FAILED: AccessDeniedException: Insufficient Lake Formation permission(s) on refund",
        "job run jr_1 ended FAILED: Unable to assume role arn:aws:iam::111111111111:role/r",
        "AWS denies PutObject: User: arn:aws:sts::1:assumed-role/d/s is not authorized to perform: kms:GenerateDataKey",
        "query 1 ended FAILED: PERMISSION_DENIED: Access Denied when writing to location s3://results/",
        "WorkerFailed: OSError: When getting information for key 'x': AWS Error ACCESS_DENIED during HeadObject (403)",
    ],
)
def test_a_denied_right_is_known_by_its_words(message: str) -> None:
    assert speaks_of_rights(message)


@pytest.mark.parametrize("message", [text for text in OF_THE_MACHINE if "AccessDenied" not in text])
def test_other_faults_are_no_denied_rights(message: str) -> None:
    assert not speaks_of_rights(message)


@pytest.mark.parametrize(
    ("kind", "message", "is_of_the_query"),
    [
        (FailureKind.USER, "query 1 ended FAILED: SYNTAX_ERROR: line 1:8: Column 'amont' cannot be resolved", True),
        (
            FailureKind.USER,
            "query 1 ended FAILED: TABLE_NOT_FOUND: line 3:6: Table 'refund_detial' does not exist",
            True,
        ),
        (FailureKind.USER, "query 1 ended FAILED: HIVE_BAD_DATA: Field amount's type BINARY is incompatible", True),
        (FailureKind.USER, "query 1 was cancelled: Bytes scanned limit was exceeded", True),
        (FailureKind.USER, "the query was refused: line 1:1: mismatched input 'selct'", True),
        (FailureKind.USER, "the query was refused: WorkGroup reports is not found.", False),
        (FailureKind.USER, "the query was refused: Unable to verify/create output bucket results", False),
        (FailureKind.USER, "query 1 ended FAILED: PERMISSION_DENIED: Access Denied (Service: Amazon S3)", False),
        (FailureKind.USER, "query 1 ended FAILED: HIVE_CANNOT_OPEN_SPLIT: The specified bucket does not exist", False),
        (FailureKind.USER, "query 1 ended FAILED: HIVE_METASTORE_ERROR: the catalog cannot be read", False),
        (FailureKind.USER, "query 1 ended FAILED: GENERIC_INTERNAL_ERROR: IO Error: No space left on device", False),
        (FailureKind.SYSTEM, "query 1 ended FAILED: SYNTAX_ERROR: line 1:8", False),
        (FailureKind.OTHER, "query 1 ended CANCELLED: no reason given", False),
    ],
)
def test_a_query_counts_against_the_release_when_it_cannot_be_right(
    kind: FailureKind, message: str, is_of_the_query: bool
) -> None:
    assert speaks_of_the_query(QueryFailed(message, kind=kind)) == is_of_the_query


def test_the_job_has_the_failures_that_are_listed() -> None:
    """Given the sources of the job, then each failure that counts against a release is one of its own, under that name."""
    sources = (ROOT / "glue").rglob("*.py")
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sources]
    classes = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    assert {*CHECKS_OF_THE_JOB, WRAPPER_OF_THE_JOB} <= classes
