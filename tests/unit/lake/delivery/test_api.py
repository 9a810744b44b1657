"""Route 3 as its sender uses it: calls of up to 500 lines, refused lines listed, the rest sent again, calls that fail repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from deployer.aws.http_answers import HttpAnswer, NoAnswer
from deployer.aws.session import Session
from deployer.errors import DataopsError
from deployer.lake.delivery import api
from deployer.lake.delivery.api import MOST_CALL_BYTES, deliver_api
from deployer.lake.delivery.delivery import Delivery, Reason, RefusedLine
from deployer.lake.delivery.files import BadFiles, checked_files
from deployer.lake.deployed_lake import NEEDED, MissingOutput, lake_from

Answer = HttpAnswer | NoAnswer


class FakeApi:
    """Refuses records whose `bad` names the reason; before that, gives the answers of `first`."""

    def __init__(self, *first: Answer) -> None:
        self.first = list(first)
        self.calls: list[list[dict[str, Any]]] = []
        self.taken: list[dict[str, Any]] = []

    def signed_calls(self) -> FakeApi:
        return self

    def post(self, url: str, body: bytes) -> HttpAnswer:
        assert url == "https://api/v1/transactions"
        records = json.loads(body)["records"]
        self.calls.append(records)
        if self.first:
            answer = self.first.pop(0)
            if isinstance(answer, NoAnswer):
                raise answer
            return answer
        errors = [
            {"index": index, "field": "amount", "reason": record["bad"]}
            for index, record in enumerate(records)
            if "bad" in record
        ]
        if errors:
            return answered(400, {"accepted": 0, "errors": errors})
        self.taken += records
        return answered(202, {"accepted": len(records)})


def answered(status: int, document: Any, **headers: str) -> HttpAnswer:
    return HttpAnswer(status, headers, json.dumps(document).encode())


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(api.time, "sleep", slept.append)
    return slept


def deliver(fake: FakeApi, folder: Path, lines: bytes, *, url: str | None = "https://api/v1") -> Delivery:
    path = folder / "a.jsonl"
    path.write_bytes(lines)
    outputs = {**dict.fromkeys(NEEDED, ""), **({"ApiUrl": url} if url else {})}
    lake = lake_from("test", outputs, lambda service: None)
    (delivery,) = deliver_api(cast(Session, fake), lake, checked_files([path]), lambda text: None)
    return delivery


def test_lines_go_in_calls_that_the_api_takes(tmp_path: Path) -> None:
    """Given 1,001 lines and blank ones, when they are delivered, then in calls of at most 500, each line once."""
    fake = FakeApi()
    delivery = deliver(fake, tmp_path, b"\n\n".join(b'{"id": %d}' % number for number in range(1001)))
    assert [len(call) for call in fake.calls] == [500, 500, 1]
    assert [record["id"] for record in fake.taken] == list(range(1001))
    assert (delivery.records, delivery.refused, delivery.target) == (1001, (), "https://api/v1/transactions")


def test_refused_lines_are_listed_and_the_rest_goes_again(tmp_path: Path) -> None:
    """Given lines that are no JSON or that the API refuses, when they are delivered, then these are listed and no other stays."""
    lines = b'{"id": 1}\nnot json\n\n{"id": 2, "bad": "amount_invalid"}\n[1]\n{"id": 3}\n\xff\n'
    fake = FakeApi()
    delivery = deliver(fake, tmp_path, lines)
    assert [record["id"] for record in fake.taken] == [1, 3]
    assert delivery.records == 2
    no_json = (Reason(None, "not_json"),)
    assert delivery.refused == (
        RefusedLine(2, no_json),
        RefusedLine(4, (Reason("amount", "amount_invalid"),)),
        RefusedLine(5, no_json),
        RefusedLine(7, no_json),
    )


def test_a_file_of_bad_lines_only_ends(tmp_path: Path) -> None:
    """Given nothing but bad lines, when they are delivered, then one call names them all, and none follows."""
    fake = FakeApi()
    delivery = deliver(fake, tmp_path, b'{"bad": "x"}\n' * 3)
    assert len(fake.calls) == 1
    assert (delivery.records, len(delivery.refused)) == (0, 3)


def test_a_call_that_fails_is_made_again(tmp_path: Path, pauses: list[float]) -> None:
    """Given no answer, 503 and 429, when lines are delivered, then the same call is made again, as late as the API asks."""
    busy = answered(429, {}, **{"retry-after": "7"})
    fake = FakeApi(NoAnswer("reset"), answered(503, {}), busy)
    assert deliver(fake, tmp_path, b'{"id": 1}\n').records == 1
    assert len(fake.calls) == 4 and all(call == fake.calls[0] for call in fake.calls)
    assert pauses[2] == 7.0


def test_an_api_that_takes_nothing_is_an_error(tmp_path: Path) -> None:
    """Given an API that never answers, when lines are delivered, then the error says why and that again is harmless."""
    with pytest.raises(DataopsError, match="no call in 10 attempts: reset") as caught:
        deliver(FakeApi(*[NoAnswer("reset")] * 99), tmp_path, b"{}\n")
    assert caught.value.hint is not None and "twice count once" in caught.value.hint


def test_a_call_that_is_too_large_is_halved(tmp_path: Path) -> None:
    """Given a call that the gateway finds too large, when it is refused, then its halves are sent; a line alone is refused."""
    too_large = answered(413, {"accepted": 0, "errors": [{"index": None, "reason": "too_many_bytes"}]})
    fake = FakeApi(too_large, too_large)
    delivery = deliver(fake, tmp_path, b'{"id": 1}\n{"id": 2}\n{"id": 3}\n')
    assert [len(call) for call in fake.calls] == [3, 1, 2]
    assert delivery.refused == (RefusedLine(1, (Reason(None, "too_many_bytes"),)),)
    assert delivery.records == 2


def test_who_may_not_call_is_told_what_lacks(tmp_path: Path) -> None:
    """Given credentials without the policy, when lines are delivered, then the error names the output that has it."""
    denied = answered(403, {"accepted": 0, "errors": [{"index": None, "reason": "ACCESS_DENIED"}]})
    with pytest.raises(DataopsError, match="ACCESS_DENIED") as caught:
        deliver(FakeApi(denied), tmp_path, b"{}\n")
    assert caught.value.hint is not None and "ApiCallersPolicyArn" in caught.value.hint


def test_calls_stay_below_what_a_function_takes(tmp_path: Path) -> None:
    """Given long lines full of quotes, when they are delivered, then no call is longer than the limit, written as a string."""
    fake = FakeApi()
    line = json.dumps({"id": 1, "x": '"' * 200_000}).encode()
    deliver(fake, tmp_path, b"\n".join([line] * 12))
    assert len(fake.taken) == 12
    assert all(len(json.dumps(json.dumps(call))) < MOST_CALL_BYTES + 200_000 for call in fake.calls)


def test_only_json_lines_go_and_only_where_there_is_an_api(tmp_path: Path) -> None:
    """Given CSV, or an environment without the API, when it is delivered, then nothing is sent and the error says why."""
    (tmp_path / "a.csv").write_bytes(b"id\n")
    lake = lake_from("test", {**dict.fromkeys(NEEDED, ""), "ApiUrl": "https://api/v1"}, lambda service: None)
    with pytest.raises(BadFiles, match="only JSON Lines"):
        deliver_api(cast(Session, FakeApi()), lake, checked_files([tmp_path / "a.csv"]), lambda text: None)
    with pytest.raises(MissingOutput, match="ApiUrl"):
        deliver(FakeApi(), tmp_path, b"{}\n", url=None)
