"""Errors of the local cloud itself reach the caller in the protocol of the called service."""

from __future__ import annotations

import asyncio
import errno
import io
import sqlite3
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ClientError

from deployer.local.completion import App, Receive, Scope, Send
from deployer.local.process.guard import Guard
from deployer.local.state.durability import Committed, is_full
from deployer.local.state.touched import Marks

CALLS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "s3": ("put_object", {"Bucket": "b", "Key": "k", "Body": b"x"}),
    "sts": ("get_caller_identity", {}),
    "cloudformation": ("list_stacks", {}),
    "iam": ("list_roles", {}),
    "sns": ("list_topics", {}),
    "glue": ("get_databases", {}),
    "athena": ("list_work_groups", {}),
    "logs": ("describe_log_groups", {}),
    "kinesis": ("list_streams", {}),
    "firehose": ("list_delivery_streams", {}),
    "kms": ("list_keys", {}),
    "sqs": ("list_queues", {}),
    "cloudwatch": ("list_metrics", {}),
    "transfer": ("list_servers", {}),
}


def disk_is_full() -> sqlite3.OperationalError:
    """The error that SQLite itself raises on a full disk."""
    database = sqlite3.connect(":memory:")
    database.execute("pragma max_page_count = 2")
    try:
        database.execute("create table t as select randomblob(100000) as value")
    except sqlite3.OperationalError as error:
        return error
    raise AssertionError("it fits")


class Failing:
    """A durability that cannot save."""

    def __init__(self, error: Exception) -> None:
        self.marks = Marks()
        self._error = error

    def commit(self, touched: set[int]) -> int:
        raise self._error


async def anything(scope: Scope, receive: Receive, send: Send) -> None:
    """An emulator that answers 200 to everything."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def call(service: str, app: App, **headers: str) -> ClientError:
    """The error that boto3 reads from the answer of `app` to a call of this service; boto3 must try only once."""
    client = boto3.client(
        service,
        region_name="eu-west-1",
        endpoint_url="http://127.0.0.1:4566",
        aws_access_key_id="0" * 12,
        aws_secret_access_key="x",
    )
    requests = []

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        requests.append(request)
        given = {
            **{str(name): _text(value) for name, value in request.headers.items()},
            "Host": "127.0.0.1:4566",
            **headers,
        }
        raw = [(name.lower().encode(), value.encode()) for name, value in given.items()]
        scope = {"type": "http", "method": request.method, "path": urlsplit(request.url).path, "headers": raw}
        status, body = asyncio.run(response(app, scope))
        return AWSResponse(request.url, status, {}, SimpleNamespace(stream=lambda **_: io.BytesIO(body)))

    client.meta.events.register("before-send", answer)
    operation, arguments = CALLS[service]
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**arguments)
    assert len(requests) == 1
    return caught.value


async def response(app: App, scope: Scope) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"]), b"".join(message["body"] for message in sent[1:])


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("service", CALLS)
def test_a_full_disk_is_said_in_the_language_of_the_service(service: str) -> None:
    """Given a full disk, when a service is called, then boto3 has the code and the message, and does not retry."""
    error = call(service, Committed(anything, Failing(disk_is_full())))  # type: ignore[arg-type]
    assert error.response["Error"]["Code"] == "InsufficientStorage"
    assert "disk of the local cloud is full; free some space" in error.response["Error"]["Message"]


@pytest.mark.parametrize("service", CALLS)
def test_a_refusal_is_said_in_the_language_of_the_service(service: str) -> None:
    """Given a request that a web page could have made, then boto3 has the code and the reason."""
    error = call(service, Guard(anything, port=4566, health={}), Origin="https://example.org")
    assert error.response["Error"]["Code"] == "AccessDeniedException"
    assert "Origin" in error.response["Error"]["Message"]


def test_an_answer_to_head_has_no_body() -> None:
    """Given a HEAD request, when it fails here, then the answer is a status and nothing else."""
    scope = {"type": "http", "method": "HEAD", "path": "/b/k", "headers": []}
    assert asyncio.run(response(Committed(anything, Failing(disk_is_full())), scope)) == (507, b"")  # type: ignore[arg-type]


def test_only_a_full_disk_is_called_full() -> None:
    """Given errors of files and databases, then only those that mean a full disk are called that."""
    assert is_full(disk_is_full())
    assert is_full(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_full(OSError(errno.EACCES, "Permission denied"))
    assert not is_full(ValueError())
