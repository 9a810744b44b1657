"""Calls of an API of our own: signed, answered, or told that nobody answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import boto3
import pytest

from deployer.aws.http_answers import HttpAnswer, NoAnswer
from deployer.aws.session import Access, Session
from deployer.aws.signed_calls import SignedCalls
from deployer.project.config import Environment, Project


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(429)
        self.send_header("Retry-After", "3")
        self.end_headers()
        self.wfile.write(body + self.headers["Authorization"].encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/transactions"
    server.shutdown()
    server.server_close()


def calls() -> SignedCalls:
    session = boto3.Session("AKIDEXAMPLE", "secret", "token", region_name="eu-west-1")
    return SignedCalls(session, through_proxy=False)


def test_a_call_is_signed_for_the_api_and_its_answer_comes_back(url: str) -> None:
    """Given credentials, when a call is made, then it is signed for execute-api in their region; any status is an answer."""
    answer = calls().post(url, b"{}")
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")
    assert answer.body.startswith(b"{}AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert b"/eu-west-1/execute-api/aws4_request" in answer.body and b"x-amz-security-token" in answer.body


def test_no_proxy_stands_before_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a proxy in the shell, when the endpoint is on this machine, then the proxy is not asked; otherwise it is."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)

    def post(endpoint: str) -> HttpAnswer:
        session = Session(
            Project("lake", Path("/project"), {}, {}, {}),
            Environment("local", region="eu-west-1"),
            Access(endpoint, "000000000000", "x"),
        )
        return session.signed_calls().post(url, b"{}")

    assert post("http://127.0.0.1:4566").status == 429
    with pytest.raises(NoAnswer):
        post("http://emulator.example:4566")


def test_nobody_who_listens_is_no_answer() -> None:
    """Given an address where nobody listens, or one that ends before it answers, when a call is made, then that is said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NoAnswer):
        calls().post(f"http://127.0.0.1:{port}/", b"{}")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        with pytest.raises(NoAnswer):
            calls().post(f"http://127.0.0.1:{listener.getsockname()[1]}/", b"{}")
