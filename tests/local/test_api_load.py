"""Load and faults of the API: what was answered 202 is in base exactly once, however often the local cloud is killed."""

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

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from local_project import LocalProject

from deployer import local

CLIENTS, RECORDS_A_CALL = 8, 125
KEYS = Credentials("000000000000", "local")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProject]:
    """The project, deployed to a local cloud of its own."""
    project = LocalProject.deployed(tmp_path_factory, "load")
    try:
        yield project
    finally:
        local.stop(project.directory)


class Clients:
    """Callers side by side; a call that was not answered, or answered with 5xx, is sent again until it is taken."""

    def __init__(self, project: LocalProject, kind: str, records: int) -> None:
        self.project = project
        ids = [f"{kind}-{number:06}" for number in range(records)]
        self.calls = [ids[first : first + RECORDS_A_CALL] for first in range(0, records, RECORDS_A_CALL)]
        self.accepted: list[str] = []
        self.done = 0
        self.repeated = 0
        self._lock = threading.Lock()
        self.url: str = project.document("local", "status")["api_url"]

    def send_all(self) -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(self._send, self.calls))

    def _send(self, ids: list[str]) -> None:
        void = {"type": "void", "timestamp": "2026-07-02T10:00:00Z", "amount": "1.00", "parent_id": "none"}
        body = json.dumps({"records": [{"id": each, **void} for each in ids]}).encode()
        until = time.monotonic() + 90
        while time.monotonic() < until:
            status, document = self._post(body)
            if status == 202:
                assert document["accepted"] == len(ids)
                with self._lock:
                    self.accepted += ids
                    self.done += 1
                return
            assert status in (0, 429) or status >= 500, document
            with self._lock:
                self.repeated += 1
            time.sleep(0.2)
        pytest.fail("a call was not taken within 90 s")

    def _post(self, body: bytes) -> tuple[int, Any]:
        request = AWSRequest(
            "POST", f"{self.url}/transactions", data=body, headers={"Content-Type": "application/json"}
        )
        SigV4Auth(KEYS, "execute-api", "ap-southeast-2").add_auth(request)
        try:
            answer = URLLib3Session(timeout=30).send(request.prepare())
            return answer.status_code, json.loads(answer.content)
        except (BotoCoreError, ValueError) as error:  # killed before, or while it answered
            return 0, str(error)


def kill_and_start(project: LocalProject, clients: Clients, moments: list[int]) -> None:
    """Kill the local cloud when so many calls are done, each time, and start it again where it was."""
    for moment in moments:
        while clients.done < moment:
            time.sleep(0.005)
        endpoint = local.find(project.directory)
        assert endpoint is not None
        os.kill(endpoint.pid, signal.SIGKILL)
        assert local.start(project.directory, say=lambda text: None).url == endpoint.url


@pytest.mark.nightly
@pytest.mark.parametrize(("records", "kills"), [(2_000, 1), (10_000, 3)], ids=["short", "long"])
def test_what_was_accepted_is_in_base_exactly_once(project: LocalProject, records: int, kills: int) -> None:
    """Given clients side by side and kills at random moments, when the job has run, then each accepted record is there once."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    clients = Clients(project, f"load{records}", records)
    moments = sorted(random.Random(seed).sample(range(1, len(clients.calls) - 1), kills))
    killer = threading.Thread(target=kill_and_start, args=(project, clients, moments))
    killer.start()
    clients.send_all()
    killer.join(60)
    assert not killer.is_alive() and len(clients.accepted) == records
    counts = project.document("run", "--env", "local")["counts"]
    assert counts["read"] == counts["kept"] + counts["duplicate"] and counts["kept"] == records, (seed, counts)
    sql = f"select count(*), count(distinct id) from void where id like 'load{records}-%'"
    rows = project.document("query", "--env", "local", sql)["rows"]
    assert rows == [[str(records), str(records)]], (seed, rows)
