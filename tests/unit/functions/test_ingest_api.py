"""Route 3's function: what it takes, what it refuses and why, and what it does when the stream takes only some."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_api import handler, stream
from ingest_api.call import MOST_BYTES, MOST_RECORD_BYTES, MOST_RECORDS, Refused, records_of
from reading import NOW, judged
from refunds_lake.schema.contract import too_late

GOOD = {"id": "v1", "type": "void", "timestamp": "2026-09-05T10:00:00Z", "amount": "1.00", "parent_id": "p"}


class FakeKinesis:
    """Takes what it is given, but for what `failing` says: for each call the places that fail, or an error."""

    def __init__(self, *failing: Any) -> None:
        self.failing = list(failing)
        self.calls: list[list[dict[str, Any]]] = []
        self.taken: list[bytes] = []
        self.keys: list[str] = []

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:
        assert StreamName == "transactions"
        self.calls.append(Records)
        failing = self.failing.pop(0) if self.failing else ()
        if isinstance(failing, Exception):
            raise failing
        code = "ProvisionedThroughputExceededException"
        answers = [{"ErrorCode": code} if place in failing else {"ShardId": "0"} for place in range(len(Records))]
        good = [each for each, answer in zip(Records, answers, strict=True) if "ErrorCode" not in answer]
        self.taken += [each["Data"] for each in good]
        self.keys += [each["PartitionKey"] for each in good]
        return {"Records": answers}


class Context:
    aws_request_id = "from-lambda"

    def __init__(self, seconds: float = 20) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@pytest.fixture
def kinesis(monkeypatch: pytest.MonkeyPatch) -> FakeKinesis:
    fake = FakeKinesis()
    monkeypatch.setattr(handler, "kinesis", lambda: fake)
    monkeypatch.setattr(stream.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("STREAM_NAME", "transactions")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "ingest-api")
    return fake


def call(body: Any, *, context: Context | None = None, **more: Any) -> tuple[int, Any, Any]:
    """Status, document and headers of a call."""
    text = body if isinstance(body, str) else json.dumps(body)
    event = {"body": text, "requestContext": {"requestId": "r-1"}, **more}
    answer = handler.handle(event, context or Context())
    return answer["statusCode"], json.loads(answer["body"]), answer["headers"]


def test_good_records_are_on_the_stream_as_they_were_written(kinesis: FakeKinesis) -> None:
    """Given two good records, when they are sent, then 202, and the stream has their text, each under its record's id."""
    body = (
        '{"records": [{"id": " v1 ", "type":"void",\n "timestamp":"2026-09-05T10:00:00Z","amount":1.10,"parent_id":"p",'
    )
    body += '"more": 1.50}, ' + json.dumps(GOOD) + "]}"
    status, document, _ = call(body)
    assert (status, document) == (202, {"accepted": 2, "request_id": "r-1"})
    assert kinesis.keys == ["v1", "v1"]
    assert b'"amount":1.10' in kinesis.taken[0] and b'"more": 1.50' in kinesis.taken[0]
    assert not any(b"\n" in each or b"\r" in each for each in kinesis.taken)


def test_a_call_with_a_bad_record_puts_none_and_names_every_reason(kinesis: FakeKinesis) -> None:
    """Given a good and two bad records, when they are sent, then 400 with index, field and every reason, and nothing is put."""
    bad = {"id": "", "type": "refund", "timestamp": "yesterday", "amount": "-1", "parent_id": 7}
    status, document, _ = call({"records": [GOOD, bad, {}]})
    assert status == 400
    assert document == {
        "accepted": 0,
        "request_id": "r-1",
        "errors": [
            {"index": 1, "field": "id", "reason": "id_missing"},
            {"index": 1, "field": "timestamp", "reason": "timestamp_invalid"},
            {"index": 1, "field": "amount", "reason": "amount_invalid"},
            {"index": 1, "field": "parent_id", "reason": "parent_id_not_text"},
            {"index": 2, "field": "id", "reason": "id_missing"},
            {"index": 2, "field": "type", "reason": "type_missing"},
            {"index": 2, "field": "timestamp", "reason": "timestamp_missing"},
            {"index": 2, "field": "amount", "reason": "amount_missing"},
        ],
    }
    assert not kinesis.calls


LARGE = {**GOOD, "more": "x" * (MOST_RECORD_BYTES - 50)}


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("", 400, {"index": None, "field": "body", "reason": "not_json"}),
        ("[]", 400, {"index": None, "field": "body", "reason": "not_json"}),
        ('{"records": [{}]} x', 400, {"index": None, "field": "body", "reason": "not_json"}),
        ('{"records": [{}],}', 400, {"index": None, "field": "body", "reason": "not_json"}),
        ('{records: [{}]}', 400, {"index": None, "field": "body", "reason": "not_json"}),
        ('{"records": [{}, {]}', 400, {"index": 1, "field": "records", "reason": "not_json"}),
        ('{"records": [{"amount": NaN}]}', 400, {"index": 0, "field": "records", "reason": "not_json"}),
        ('{"records": [1]}', 400, {"index": 0, "field": None, "reason": "not_json"}),
        ("{}", 400, {"index": None, "field": "records", "reason": "records_missing"}),
        ('{"records": {}}', 400, {"index": None, "field": "records", "reason": "records_no_list"}),
        ('{"records": []}', 400, {"index": None, "field": "records", "reason": "records_empty"}),
        ('{"records": [' + "[" * 100_000, 400, {"index": None, "field": "records", "reason": "nested_too_deeply"}),
        ({"records": [GOOD] * (MOST_RECORDS + 1)}, 400, {"index": None, "field": "records", "reason": "too_many_records"}),
        ({"records": [LARGE]}, 400, {"index": 0, "field": None, "reason": "line_too_long"}),
        ({"records": [LARGE] * 6}, 413, {"index": None, "field": "body", "reason": "too_many_bytes"}),
        ("\ud800", 400, {"index": None, "field": "body", "reason": "invalid_utf8"}),
    ],
)  # fmt: skip
def test_a_call_that_is_no_envelope_of_records_is_refused(
    kinesis: FakeKinesis, body: Any, status: int, error: dict[str, Any]
) -> None:
    """Given a body that is no list of records, or too large, when it is sent, then one error says so and nothing is put."""
    found, document, _ = call(body)
    assert (found, document["accepted"], document["errors"]) == (status, 0, [error])
    assert not kinesis.calls


def test_a_binary_body_is_read_too(kinesis: FakeKinesis) -> None:
    """Given a body that arrives in base64, then it is judged like any other; what is no UTF-8 is refused."""
    encoded = base64.b64encode(json.dumps({"records": [GOOD]}).encode()).decode()
    assert call(encoded, isBase64Encoded=True)[0] == 202
    for broken in ("%%%", base64.b64encode(b"\xff").decode()):
        assert call(broken, isBase64Encoded=True)[1]["errors"][0]["reason"] == "invalid_utf8"


def test_only_what_the_stream_did_not_take_is_put_again(kinesis: FakeKinesis) -> None:
    """Given a stream that takes some, then nothing, then the rest, when records are sent, then each is put exactly once."""
    kinesis.failing = [(1, 3), ClientError({"Error": {"Code": "KMSThrottlingException"}}, "PutRecords"), (0,)]
    records = [{**GOOD, "id": f"v{number}"} for number in range(5)]
    assert call({"records": records})[0] == 202
    assert [len(each) for each in kinesis.calls] == [5, 2, 2, 1]
    assert sorted(json.loads(each)["id"] for each in kinesis.taken) == [f"v{number}" for number in range(5)]


def test_a_correction_stays_behind_what_it_corrects(kinesis: FakeKinesis) -> None:
    """Given a stream that takes a correction but not the record before it, when both are put again, then the correction is last."""
    kinesis.failing = [(0,)]
    records = [{**GOOD, "amount": "1.00"}, {**GOOD, "id": "other"}, {**GOOD, "amount": "2.00"}]
    assert call({"records": records})[0] == 202
    assert [len(each) for each in kinesis.calls] == [3, 2]
    versions = [json.loads(each)["amount"] for each in kinesis.taken if json.loads(each)["id"] == GOOD["id"]]
    assert versions == ["2.00", "1.00", "2.00"]


@pytest.mark.parametrize(
    ("seconds", "attempts"), [(20.0, stream.ATTEMPTS), (stream.SECONDS_FOR_THE_ANSWER, 1)], ids=["patient", "late"]
)
def test_a_stream_that_takes_nothing_is_503_in_time(
    kinesis: FakeKinesis, capsys: pytest.CaptureFixture[str], seconds: float, attempts: int
) -> None:
    """Given a stream that takes nothing, when records are sent, then 503 with Retry-After, before the function is stopped."""
    kinesis.failing = [EndpointConnectionError(endpoint_url="https://x")] * 99
    status, document, headers = call({"records": [GOOD]}, context=Context(seconds))
    assert (status, document["errors"]) == (503, [{"index": None, "field": None, "reason": "stream_busy"}])
    assert int(headers["Retry-After"]) > 0
    assert len(kinesis.calls) == attempts
    assert json.loads(capsys.readouterr().out)["ApiFailedCalls"] == 1


def test_counts_are_metrics_and_say_nothing_of_the_data(
    kinesis: FakeKinesis, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given calls, when they are logged, then accepted and refused records are counted, and no field of theirs is shown."""
    call({"records": [GOOD, GOOD]})
    call({"records": [GOOD, {**GOOD, "amount": "secret-amount"}]})
    accepted, refused = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert accepted["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "RefundsLake"
    assert (accepted["ApiAcceptedRecords"], refused["ApiRefusedRecords"], refused["ApiNotPutRecords"]) == (2, 1, 1)
    assert "secret-amount" not in json.dumps(refused)


SETTINGS = settings(
    max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(list(GOOD.values())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
RECORDS = st.builds(
    lambda changes, without: {name: value for name, value in {**GOOD, **changes}.items() if name not in without},
    st.dictionaries(st.sampled_from([*GOOD, "customer_id", "merchant_id", "other"]), VALUES, max_size=2),
    st.sets(st.sampled_from(list(GOOD)), max_size=1),
)
BODIES = (
    st.text()
    | st.binary().map(lambda each: each.decode("latin-1"))
    | VALUES.map(json.dumps)
    | st.fixed_dictionaries({"records": VALUES | st.lists(RECORDS, max_size=3)}).map(json.dumps)
)


@SETTINGS
@given(BODIES, st.integers(0, 60), st.sampled_from(["", "[", "}", "\0", "\ud800", "é", '"', ",", "\u2028", "\r\n"]))
def test_no_body_ends_in_an_error_of_the_server(kinesis: FakeKinesis, body: str, place: int, odd: str) -> None:
    """Given any body, when it is sent, then it is accepted or refused with reasons, and never an error of ours."""
    status, document, _ = call(body[:place] + odd + body[place:])
    assert status in (202, 400)
    assert (status == 202) == (document["accepted"] > 0)
    assert status == 202 or all(error["reason"] for error in document["errors"])


@SETTINGS
@given(st.lists(RECORDS, min_size=1, max_size=3), st.booleans())
def test_what_is_accepted_is_never_rejected_by_the_job(
    kinesis: FakeKinesis, records: list[dict[str, Any]], ascii_only: bool
) -> None:
    """Given accepted records, when the job reads what was put onto the stream, then it rejects none of them."""
    kinesis.taken.clear()
    body = json.dumps({"records": records}, ensure_ascii=ascii_only, indent=1 if ascii_only else None)
    status, document, _ = call(body)
    if status == 202:
        rows = judged("a.jsonl", b"".join(each + b"\n" for each in kinesis.taken))
        assert [row["kind"] for row in rows] == [str(each["type"]).strip().lower() for each in records]
    else:
        assert not kinesis.taken
        assert document["errors"]


@SETTINGS
@given(st.lists(RECORDS, min_size=1, max_size=2))
def test_reasons_are_the_jobs(kinesis: FakeKinesis, records: list[dict[str, Any]]) -> None:
    """Given records, when the API refuses some, then the job would have rejected the same ones, for the same reasons."""
    texts = [json.dumps(each) for each in records]
    try:
        taken = records_of('{"records":[' + ",".join(texts) + "]}")
    except Refused:
        return
    found = [sorted({error["reason"] for error in handler.errors_of(0, each, too_late(NOW))}) for each in taken]
    rows = judged("a.jsonl", "".join(each + "\n" for each in texts).encode())
    assert found == [sorted(row["reasons"] or []) for row in rows]


def test_the_limits_are_kinesis_own() -> None:
    """Given the limits of a call, then all that passes them fits into one PutRecords, and a record into Firehose's 1,000 KiB."""
    assert MOST_RECORDS <= 500
    assert MOST_BYTES + 64 * 4 * MOST_RECORDS < stream.MOST_REQUEST_BYTES
    assert MOST_RECORD_BYTES < 1000 * 1024
