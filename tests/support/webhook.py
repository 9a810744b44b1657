"""Slack on this machine: a real HTTP server that answers as planned, and remembers the messages that it accepted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANGS = 0
"""Take the request and never answer."""


@dataclass
class Webhook:
    """The planned answers to the next requests: a status, or a status and Retry-After; 200 if nothing is planned.

    With `only`, requests about anything else are accepted at once. `asked` are the times of the other requests.
    """

    url: str = ""
    answers: list[int | tuple[int, str]] = field(default_factory=list)
    only: str = ""
    taken: list[dict[str, Any]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    @property
    def titles(self) -> list[str]:
        """The headers of the accepted messages."""
        return [block["text"]["text"] for body in self.taken for block in body["blocks"] if block["type"] == "header"]


@contextmanager
def serve() -> Iterator[Webhook]:
    """A webhook on a free port of loopback."""
    webhook, over = Webhook(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_meant = webhook.only in body.decode()
            if is_meant:
                webhook.asked.append(time.monotonic())
            answer = webhook.answers.pop(0) if is_meant and webhook.answers else 200
            status, retry_after = answer if isinstance(answer, tuple) else (answer, "")
            if status == HANGS:
                over.wait(60)
                return
            if status == 200:
                webhook.taken.append(json.loads(body))
            self.send_response(status)
            if retry_after:
                self.send_header("Retry-After", retry_after)
            if status == 302:
                self.send_header("Location", webhook.url)
            self.end_headers()
            self.wfile.write(b"ok" if status == 200 else b"no_service")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    webhook.url = f"http://127.0.0.1:{server.server_port}/services/T0/B0/cAnArY"
    try:
        yield webhook
    finally:
        over.set()
        server.shutdown()
        server.server_close()
