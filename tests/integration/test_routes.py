"""The routes against moto: what arrives, what is skipped, what is retried, and what the partner may not do."""

import base64
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from session_calls import calls_of

from deployer import pauses
from deployer.aws.session import Access, Session
from deployer.errors import DataopsError, UsageError
from deployer.lake.arrivals import errors_to_deliver, unowned_keys
from deployer.lake.delivery.delivery import Deliver, Delivery
from deployer.lake.delivery.drop import deliver_s3
from deployer.lake.delivery.files import BadFiles, RawFile, checked_files
from deployer.lake.delivery.redelivery import deliver_again
from deployer.lake.delivery.stream import deliver_stream, stream_keys, wait_for_stream
from deployer.lake.delivery.third_party import deliver_third_party
from deployer.lake.deployed_lake import NEEDED, Lake, lake_from
from deployer.project.config import Environment, Partner, Project

PARAMETERS = {"PartnerExternalId": "agreed-with-partner", "ThirdPartyExternalId": "given-by-the-tool"}
PROJECT = Project("lake", Path("/project"), {}, {}, {})
TODAY = f"ingest_date={datetime.now(UTC):%Y-%m-%d}"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pauses.time, "sleep", lambda seconds: None)
    with mock_aws():
        yield


def session_of(**environment: Any) -> Session:
    settings = {"parameters": PARAMETERS, "partner": Partner(), "third_party": Partner(), **environment}
    access = Access(access_key_id="testing", secret_access_key="testing")
    return Session(PROJECT, Environment("test", region="eu-west-1", **settings), access)


def lake_in(session: Session, outputs: dict[str, str]) -> Lake:
    return lake_from("test", {**dict.fromkeys(NEEDED, ""), **outputs}, session.client)


def deliver(
    route: Deliver, session: Session, outputs: dict[str, str], files: list[RawFile], say: Any
) -> list[Delivery]:
    return route(session, lake_in(session, outputs), files, say)


@pytest.fixture
def outputs() -> dict[str, str]:
    where = {"region_name": "eu-west-1"}
    boto3.client("s3", **where).create_bucket(
        Bucket="raw", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    boto3.client("kinesis", **where).create_stream(StreamName="transactions", ShardCount=1)
    role = boto3.client("iam", **where).create_role(RoleName="drop", AssumeRolePolicyDocument="{}")
    return {
        "RawBucketName": "raw",
        "DropPrefix": "transactions/source=s3/",
        "DropRoleArn": role["Role"]["Arn"],
        "ThirdPartyPrefix": "transactions/source=third-party/",
        "ThirdPartyRoleArn": role["Role"]["Arn"],
        "TransactionStreamName": "transactions",
    }


def files_of(folder: Path, **contents: bytes) -> list[RawFile]:
    paths = []
    for name, content in contents.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content)
        paths.append(path)
    return checked_files(paths)


def raw_objects() -> dict[str, bytes]:
    s3 = boto3.client("s3", region_name="eu-west-1")
    listed = s3.list_objects_v2(Bucket="raw").get("Contents", [])
    return {each["Key"]: s3.get_object(Bucket="raw", Key=each["Key"])["Body"].read() for each in listed}


def silent(text: str) -> None:
    """Say nothing."""


def test_files_arrive_as_they_are(tmp_path: Path, outputs: dict[str, str]) -> None:
    """Given two files, when the partner delivers them, then they lie under today's date, byte for byte."""
    files = files_of(tmp_path, day_csv=b"id\n1\n", more_jsonl=b"{}\n")
    done = deliver(deliver_s3, session_of(), outputs, files, silent)
    keys = [f"transactions/source=s3/{TODAY}/{file.object_name()}" for file in files]
    assert raw_objects() == dict(zip(keys, (b"id\n1\n", b"{}\n"), strict=True))
    assert [(each.target, each.delivered) for each in done] == [(key, True) for key in keys]


def test_the_same_content_again_is_skipped(tmp_path: Path, outputs: dict[str, str]) -> None:
    """Given a file that is there, when it comes again, then nothing is written and it is said; other content is new."""
    session, said = session_of(), list[str]()
    deliver(deliver_s3, session, outputs, files_of(tmp_path, day_csv=b"one"), silent)
    (again,) = deliver(deliver_s3, session, outputs, files_of(tmp_path, day_csv=b"one"), said.append)
    (other,) = deliver(deliver_s3, session, outputs, files_of(tmp_path, day_csv=b"two"), silent)
    assert (again.delivered, other.delivered) == (False, True)
    assert "skipped" in said[0]
    assert sorted(raw_objects().values()) == [b"one", b"two"]


def test_the_role_is_taken_by_the_partner_with_the_external_id(tmp_path: Path, outputs: dict[str, str]) -> None:
    """Given a delivery, when its calls are looked at, then the operator's own session wrote nothing."""
    session = session_of()
    calls = calls_of(session)
    deliver(deliver_s3, session, outputs, files_of(tmp_path, day_csv=b"one"), silent)
    assert calls == []


@pytest.mark.parametrize("route", [deliver_s3, deliver_third_party])
@pytest.mark.parametrize("missing", ["role", "external id", "sender"])
def test_an_environment_without_the_route(
    tmp_path: Path, outputs: dict[str, str], route: Deliver, missing: str
) -> None:
    """Given no role, external id or sender, when files are delivered, then the error says what to declare."""
    sender = None if missing == "sender" else Partner()
    parameters = {} if missing == "external id" else PARAMETERS
    session = session_of(parameters=parameters, partner=sender, third_party=sender)
    if missing == "role":
        del outputs["DropRoleArn"], outputs["ThirdPartyRoleArn"]
    with pytest.raises(UsageError) as caught:
        deliver(route, session, outputs, files_of(tmp_path, day_csv=b"one"), silent)
    assert "dataops.yml" in str(caught.value.hint)
    assert raw_objects() == {}


def test_a_tool_writes_a_file_again(tmp_path: Path, outputs: dict[str, str]) -> None:
    """Given a tool's file that is there, when one of the same name comes, then it is written over; its own session writes."""
    session = session_of()
    calls = calls_of(session)
    for content in (b"one", b"two"):
        (done,) = deliver(deliver_third_party, session, outputs, files_of(tmp_path, a_csv=content), silent)
        assert (done.delivered, done.target) == (True, "transactions/source=third-party/dataops/a.csv")
    assert raw_objects() == {done.target: b"two"}
    assert calls == []


def test_two_files_of_one_name_do_not_meet_in_one_call(tmp_path: Path, outputs: dict[str, str]) -> None:
    """Given two files of one name, when they are delivered in one call, then none is: the second would hide the first."""
    (tmp_path / "b").mkdir()
    files = [*files_of(tmp_path, a_csv=b"one"), *files_of(tmp_path / "b", a_csv=b"two")]
    with pytest.raises(BadFiles, match="is also called a.csv"):
        deliver(deliver_third_party, session_of(), outputs, files, silent)
    assert raw_objects() == {}


def stream_records() -> list[bytes]:
    kinesis = boto3.client("kinesis", region_name="eu-west-1")
    shard = kinesis.list_shards(StreamName="transactions")["Shards"][0]["ShardId"]
    iterator = kinesis.get_shard_iterator(StreamName="transactions", ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    return [record["Data"] for record in kinesis.get_records(ShardIterator=iterator)["Records"]]


def test_one_line_becomes_one_record(tmp_path: Path, outputs: dict[str, str]) -> None:
    """Given JSON Lines, plain and gzip, when they are streamed, then each line is a record without its line break."""
    plain = b"".join(json.dumps({"id": number}).encode() + b"\n" for number in range(501))
    files = files_of(tmp_path, a_jsonl=plain, b_json_gz=gzip.compress(b'{"id": "z"}\n'))
    done = deliver(deliver_stream, session_of(), outputs, files, silent)
    assert [each.records for each in done] == [501, 1]
    records = stream_records()
    assert len(records) == 502
    assert {b'{"id": 0}', b'{"id": 500}', b'{"id": "z"}'} <= set(records)


def test_records_that_were_not_taken_are_sent_again(
    tmp_path: Path, outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a stream that takes a part only, when a file is streamed, then the rest follows and nothing comes twice."""
    session, refused = session_of(), [2]
    kinesis = session.client("kinesis")
    put = kinesis.put_records

    def partly(**request: Any) -> Any:
        if refused[0]:
            refused[0] -= 1
            first, *rest = request["Records"]
            put(StreamName=request["StreamName"], Records=[first])
            failures = [{"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow"} for _ in rest]
            return {"FailedRecordCount": len(rest), "Records": [{"SequenceNumber": "1"}, *failures]}
        return put(**request)

    monkeypatch.setattr(kinesis, "put_records", partly)
    deliver(deliver_stream, session, outputs, files_of(tmp_path, a_jsonl=b"1\n2\n3\n4\n"), silent)
    assert sorted(stream_records()) == [b"1", b"2", b"3", b"4"]


def test_a_correction_stays_behind_what_it_corrects(
    tmp_path: Path, outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a stream that takes a correction but not the record before it, when both follow, then the correction is last."""
    session, calls = session_of(), []
    first, other, correction = b'{"id":"a","amount":1}', b'{"id":"b"}', b'{"id":"a","amount":2}'

    def without_the_first(**request: Any) -> Any:
        calls.append([record["Data"] for record in request["Records"]])
        results = [{"SequenceNumber": "1"} for _ in request["Records"]]
        return {"Records": [{"ErrorCode": "InternalFailure"}, *results[1:]] if len(calls) == 1 else results}

    monkeypatch.setattr(session.client("kinesis"), "put_records", without_the_first)
    body = b"\n".join((first, other, correction)) + b"\n"
    deliver(deliver_stream, session, outputs, files_of(tmp_path, a_jsonl=body), silent)
    assert calls == [[first, other, correction], [first, correction]]


def test_a_stream_that_takes_nothing_is_an_error(
    tmp_path: Path, outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a stream that refuses for good, when a file is streamed, then the error names file, number and reason."""
    session = session_of()
    answer = {"Records": [{"ErrorCode": "InternalFailure", "ErrorMessage": "no"}]}
    monkeypatch.setattr(session.client("kinesis"), "put_records", lambda **request: answer)
    with pytest.raises(DataopsError, match="1 records: InternalFailure") as caught:
        deliver(deliver_stream, session, outputs, files_of(tmp_path, a_jsonl=b"1\n"), silent)
    assert caught.value.where is not None and caught.value.where.endswith("a.jsonl")


def test_what_the_stream_does_not_take_is_said_before_anything_is_sent(tmp_path: Path, outputs: dict[str, str]) -> None:
    """Given CSV, a line beyond 1 MiB or a broken gzip beside a good file, when they are streamed, then nothing is sent."""
    files = files_of(
        tmp_path, good_jsonl=b"1\n", table_csv=b"id\n", long_jsonl=b"x" * 2**20, broken_jsonl_gz=b"\x1f\x8b\x08 nothing"
    )
    with pytest.raises(BadFiles) as caught:
        deliver(deliver_stream, session_of(), outputs, files, silent)
    assert len(caught.value.lines()) == 3
    assert stream_records() == []


def test_waiting_counts_what_arrives(outputs: dict[str, str]) -> None:
    """Given objects that Firehose wrote, when their arrival is awaited, then their lines are counted, old ones not."""
    session, said = session_of(), list[str]()
    s3 = session.client("s3")
    folder = f"transactions/source=stream/{TODAY}/"
    s3.put_object(Bucket="raw", Key=f"{folder}old.jsonl.gz", Body=gzip.compress(b"0\n"))
    before = stream_keys(lake_in(session, outputs))
    s3.put_object(Bucket="raw", Key=f"{folder}new.jsonl.gz", Body=gzip.compress(b"1\n2\n"))
    wait_for_stream(lake_in(session, outputs), before, 2, say=said.append, timeout_seconds=5)
    assert said == ["2 of 2 records are in the raw bucket"]
    with pytest.raises(DataopsError, match="only 2 of 3"):
        wait_for_stream(lake_in(session, outputs), before, 3, say=silent, timeout_seconds=0.01)


def test_an_object_that_is_no_gzip_is_named(outputs: dict[str, str]) -> None:
    """Given an object that claims to be gzip, when its lines are counted, then the error names it."""
    session = session_of()
    key = f"transactions/source=stream/{TODAY}/new.jsonl.gz"
    session.client("s3").put_object(Bucket="raw", Key=key, Body=b"plain\n")
    with pytest.raises(DataopsError) as caught:
        wait_for_stream(lake_in(session, outputs), set(), 1, say=silent, timeout_seconds=5)
    assert caught.value.where == f"s3://raw/{key}"


def failed(*records: bytes) -> bytes:
    """An object as Firehose writes it when it cannot deliver records."""
    lines = [
        {
            "attemptsMade": 4,
            "arrivalTimestamp": 1790000000000,
            "errorCode": "S3.AccessDenied",
            "errorMessage": "Access was denied.",
            "attemptEndingTimestamp": 1790000001000,
            "rawData": base64.b64encode(record).decode(),
        }
        for record in records
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def test_what_could_not_be_delivered_is_counted_and_delivered_again_once(outputs: dict[str, str]) -> None:
    """Given objects of delivery errors, when they are delivered again, then their records are on the stream, each once."""
    s3, folder = boto3.client("s3", region_name="eu-west-1"), "delivery-errors/source=stream/processing-failed/"
    s3.put_object(Bucket="raw", Key=f"{folder}a", Body=failed(b'{"id": "1"}', b'{"id": "2"}\n'))
    s3.put_object(Bucket="raw", Key=f"{folder}b.gz", Body=gzip.compress(failed(b'{"id": "3"}')))
    lake = lake_in(session_of(), outputs)
    assert errors_to_deliver(lake) == [f"{folder}a", f"{folder}b.gz"]
    assert [each.records for each in deliver_again(lake, silent)] == [2, 1]
    assert sorted(stream_records()) == [b'{"id": "1"}', b'{"id": "2"}', b'{"id": "3"}']
    assert errors_to_deliver(lake) == [] and deliver_again(lake, silent) == []
    s3.put_object(Bucket="raw", Key=f"{folder}c", Body=b"not Firehose's")
    with pytest.raises(DataopsError, match="not an object with Firehose's errors"):
        deliver_again(lake, silent)
    assert errors_to_deliver(lake) == [f"{folder}c"]


def test_what_no_route_owns_is_named(outputs: dict[str, str]) -> None:
    """Given objects inside and outside of the routes' folders, when they are looked for, then the outside ones are named."""
    s3 = boto3.client("s3", region_name="eu-west-1")
    owned = ["transactions/source=s3/a.csv", "transactions/source=sftp/u/a.csv", "smoke/r/a.csv", "delivery-errors/a"]
    for key in (*owned, "loose.csv", "other/a.csv", "transactions/a.csv", "transactions/source=new/a.csv"):
        s3.put_object(Bucket="raw", Key=key, Body=b"")
    assert list(unowned_keys(lake_in(session_of(), outputs))) == [
        "loose.csv",
        "other/",
        "transactions/a.csv",
        "transactions/source=new/",
    ]
