"""Keeps web pages out of the local cloud.

Loopback is no protection from a browser on the same machine: any page may send requests to 127.0.0.1, and a foreign
name may resolve to it. Browsers must send headers that AWS SDKs never send. The guard refuses requests with these
headers on every path, including the emulator's own admin paths, and WebSockets as well. It authenticates no one:
whoever runs programs on this machine may use the local cloud.
"""

from __future__ import annotations

import json
from typing import Any

from deployer.local.completion import App, Receive, Scope, Send
from deployer.local.emulator.answers import headers_of, send_answer, send_error
from deployer.local.process.endpoint import HEALTH_PATH


def refusal(headers: dict[str, list[str]], port: int) -> str | None:
    """Return why these request headers are refused, or None. Names are lower case."""
    if headers.get("origin"):
        return "requests with an Origin header are refused"
    if any(site != "none" for site in headers.get("sec-fetch-site", [])):
        return "requests from web pages are refused"
    hosts = headers.get("host", [])
    if len(hosts) != 1 or not is_own_host(hosts[0], port):
        return f"the Host {', '.join(hosts) or '(none)'} is not this machine's loopback name"
    return None


def is_own_host(host: str, port: int) -> bool:
    """Accept ``127.0.0.1``, ``localhost`` and names below ``.localhost`` (RFC 6761) with our port; clients omit port 80."""
    name, separator, given_port = host.rpartition(":") if ":" in host else (host, ":", "80")
    if not separator or given_port != str(port):
        return False
    return name in ("127.0.0.1", "localhost") or name.lower().endswith(".localhost")


class Guard:
    """ASGI middleware that refuses what `refusal` refuses, answers the health check, and passes on the rest."""

    def __init__(self, app: App, *, port: int, health: dict[str, Any]) -> None:
        self._app = app
        self._port = port
        self._health = json.dumps(health).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        reason = refusal(headers_of(scope), self._port)
        if scope["type"] == "websocket" and reason is not None:
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        elif reason is not None:
            await send_error(scope, send, status=403, code="AccessDeniedException", message=reason)
        elif scope.get("path") == HEALTH_PATH:
            await send_answer(send, 200, "application/json", self._health)
        else:
            await self._app(scope, receive, send)
