"""Load and faults of API and stream: what was acknowledged is in base exactly once, however often the local cloud is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import URLLib3Session
from local_project import LocalProject

from deployer import local

CLIENTS, RECORDS_A_CALL, SECONDS_FOR_A_CALL = 8, 125, 90
VOID = {"type": "void", "timestamp": "2026-07-02T10:00:00Z", "amount": "1.00", "parent_id": "none"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProject]:
    """The project, deployed to a local cloud of its own."""
    project = LocalProject.deployed(tmp_path_factory, "load")
    try:
        yield project
    finally:
        local.stop(project.directory)


class Clients:
    """Concurrent callers, who send a call again until it is acknowledged."""

    def __init__(self, project: LocalProject, prefix: str, records: int) -> None:
        self.status = project.document("local", "status")
        ids = [f"{prefix}-{number:06}" for number in range(records)]
        self.calls = [ids[first : first + RECORDS_A_CALL] for first in range(0, records, RECORDS_A_CALL)]
        self.acknowledged: list[str] = []
        self.done = 0
        self._lock = threading.Lock()

    def send_all(self) -> None:
        try:
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(self._send, self.calls))
        finally:
            self.done = len(self.calls)  # ends the wait for a number of calls

    def _send(self, ids: list[str]) -> None:
        until, waiting = time.monotonic() + SECONDS_FOR_A_CALL, ids
        while waiting and time.monotonic() < until:
            taken = self.call(waiting)
            waiting = [each for each in waiting if each not in taken]
            with self._lock:
                self.acknowledged += taken
                self.done += not waiting
            if waiting:
                time.sleep(0.2)
        assert not waiting, f"a call was not taken within {SECONDS_FOR_A_CALL} s"

    def call(self, ids: list[str]) -> list[str]:
        """Send records once; the ids of those that were acknowledged."""
        raise NotImplementedError


class ApiClients(Clients):
    """Callers of the API: 202 acknowledges all records of a call, anything else none."""

    def call(self, ids: list[str]) -> list[str]:
        body = json.dumps({"records": [{"id": each, **VOID} for each in ids]}).encode()
        url, headers = f"{self.status['api_url']}/transactions", {"Content-Type": "application/json"}
        request = AWSRequest("POST", url, data=body, headers=headers)
        keys = Credentials(self.status["access_key_id"], self.status["secret_access_key"])
        SigV4Auth(keys, "execute-api", self.status["region"]).add_auth(request)
        try:
            answer = URLLib3Session(timeout=30).send(request.prepare())
            document = json.loads(answer.content)
        except (BotoCoreError, ValueError):  # killed before, or while it answered
            return []
        if answer.status_code == 202:
            assert document["accepted"] == len(ids)
            return ids
        assert answer.status_code == 429 or answer.status_code >= 500, document
        return []


class StreamClients(Clients):
    """Writers to the stream, which may accept some records of a call and not others."""

    def __init__(self, project: LocalProject, prefix: str, records: int) -> None:
        super().__init__(project, prefix, records)
        self._stream = project.outputs("ingest")["TransactionStreamName"]
        self._kinesis = boto3.client(
            "kinesis",
            endpoint_url=self.status["url"],
            region_name=self.status["region"],
            aws_access_key_id=self.status["access_key_id"],
            aws_secret_access_key=self.status["secret_access_key"],
            config=Config(retries={"total_max_attempts": 1}, read_timeout=30, max_pool_connections=CLIENTS),
        )

    def call(self, ids: list[str]) -> list[str]:
        records = [{"Data": json.dumps({"id": each, **VOID}).encode(), "PartitionKey": each} for each in ids]
        try:
            answers = self._kinesis.put_records(StreamName=self._stream, Records=records)["Records"]
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500, error
            return []
        except BotoCoreError:
            return []
        return [each for each, answer in zip(ids, answers, strict=True) if "ErrorCode" not in answer]


def kill_and_start(project: LocalProject, clients: Clients, moments: list[int]) -> None:
    """Kill the local cloud each time when so many calls are done, and start it again at the same port."""
    for moment in moments:
        while clients.done < moment:
            time.sleep(0.005)
        endpoint = local.find(project.directory)
        assert endpoint is not None
        os.kill(endpoint.pid, signal.SIGKILL)
        assert local.start(project.directory, say=lambda text: None).url == endpoint.url


def rows_of(project: LocalProject, prefix: str) -> Any:
    sql = f"select count(*), count(distinct id) from void where id like '{prefix}-%'"
    return project.document("query", "--env", "local", sql)["rows"]


@pytest.mark.parametrize(
    ("records", "kills"),
    [pytest.param(1_000, 1, id="short"), pytest.param(10_000, 3, id="long", marks=pytest.mark.nightly)],
)
def test_what_was_acknowledged_is_in_base_exactly_once(project: LocalProject, records: int, kills: int) -> None:
    """Given concurrent callers of API and stream, and kills at random moments between their first and last call, when the
    job has run, then each acknowledged record is there once.
    """
    seed = int(os.environ.get("DATAOPS_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"DATAOPS_TEST_SEED={seed}")
    chance, prefixes = random.Random(seed), (f"api{records}", f"stream{records}")
    for kind, prefix in zip((ApiClients, StreamClients), prefixes, strict=True):
        clients = kind(project, prefix, records)
        moments = sorted(chance.sample(range(1, len(clients.calls) - 1), kills))
        with ThreadPoolExecutor(1) as pool:
            killer = pool.submit(kill_and_start, project, clients, moments)
            clients.send_all()
            killer.result(SECONDS_FOR_A_CALL)
        assert len(clients.acknowledged) == len(set(clients.acknowledged)) == records
    counts = project.document("run", "--env", "local")["counts"]
    assert counts["read"] == counts["kept"] + counts["duplicate"] and counts["kept"] == 2 * records, (seed, counts)
    for prefix in prefixes:
        assert rows_of(project, prefix) == [[str(records), str(records)]], seed
