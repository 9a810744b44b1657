"""Errors of the local cloud itself, in the protocol of the called service.

An SDK shows an error's code and message only if it can parse them: S3 answers in XML, services of the query protocol in
XML of another shape, all others here in JSON. The request shows which of them it expects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

from deployer.local.completion import Scope, Send

_SIGNED_FOR_S3 = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/s3/")


def headers_of(scope: Scope) -> dict[str, list[str]]:
    """Return the request's headers: name in lower case -> values."""
    found: dict[str, list[str]] = {}
    raw: Iterable[tuple[bytes, bytes]] = scope.get("headers", [])
    for name, value in raw:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


async def send_error(scope: Scope, send: Send, *, status: int, code: str, message: str) -> None:
    """Answer the request in `scope` with this error."""
    content_type, body = error(headers_of(scope), code, message)
    await send_answer(send, status, content_type, b"" if scope["method"] == "HEAD" else body)


async def send_answer(send: Send, status: int, content_type: str, body: bytes) -> None:
    """Send a whole response."""
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def error(headers: Mapping[str, list[str]], code: str, message: str) -> tuple[str, bytes]:
    """Return the content type and body of an error in the protocol of the service that the request is for."""
    xml = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    if any(_SIGNED_FOR_S3.search(value) for value in headers.get("authorization", [])):
        return "application/xml", xml.encode()
    if any("x-www-form-urlencoded" in value for value in headers.get("content-type", [])):
        return "text/xml", f"<ErrorResponse>{xml}</ErrorResponse>".encode()
    return "application/json", json.dumps({"__type": code, "message": message}).encode()
