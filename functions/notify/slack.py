"""A message in Slack's blocks, and its delivery: with a timeout, waiting as long as Slack asks, failing loudly.

Nothing here shows or logs the address: whoever has it can write to the channel.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final

from refunds_alerts.message import TITLE_CHARACTERS, Message, State

TIMEOUT_SECONDS: Final = 5.0
USUAL_WAIT_SECONDS: Final = 1.0
SECTION_CHARACTERS: Final = 3000
"""The longest text of a section in Slack. https://docs.slack.dev/reference/block-kit/blocks/section-block/"""
_MARKS: Final = {State.PROBLEM: ":red_circle:", State.RECOVERED: ":large_green_circle:", State.NEWS: ":white_circle:"}

Blocks = dict[str, Any]


class NotSent(Exception):
    """Slack did not take the message; the text says why, without the address."""


def body(message: Message, environment: str, runbook: str) -> Blocks:
    """Return the request's body: what happened, the lines, where and when, and the two links.

    `runbook` is the address of docs/operations.md, or its path if no address is set.
    """
    title = message.title[:TITLE_CHARACTERS]
    blocks: list[Blocks] = [{"type": "header", "text": {"type": "plain_text", "text": title}}]
    if message.lines:
        blocks.append({"type": "section", "text": _markdown("\n".join(message.lines), SECTION_CHARACTERS)})
    links = [f"<{message.link}|Look at it>"] if message.link else []
    if message.anchor:
        section = f"{runbook}#{message.anchor}"
        links.append(f"<{section}|What to do>" if section.startswith("https://") else f"What to do: `{section}`")
    if links:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": " · ".join(links)}})
    where = f"{_MARKS[message.state]} {message.kind} in *{environment}*, {message.at}"
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": where}]})
    return {"text": f"{environment}: {escaped(title)}", "blocks": blocks}


def _markdown(text: str, limit: int) -> Blocks:
    said = escaped(text)
    return {"type": "mrkdwn", "text": said if len(said) <= limit else f"{said[: limit - 2]} …"}


def escaped(text: str) -> str:
    """Escape text so that no part of it becomes a link or a mention. https://docs.slack.dev/messaging/formatting-message-text/"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def send(webhook: str, content: Blocks, *, until: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Send a body. Wait if Slack asks for it and the wait ends before `until` (of time.monotonic()). Raise NotSent."""
    request = urllib.request.Request(
        webhook, data=json.dumps(content).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    while True:
        status, retry_after, answer = _post(request)
        if status == HTTPStatus.OK:
            return
        if status != HTTPStatus.TOO_MANY_REQUESTS:
            raise NotSent(f"Slack answered {status}: {answer}")
        if time.monotonic() + retry_after + TIMEOUT_SECONDS > until:
            raise NotSent(f"Slack asks to wait {retry_after:g} s, which is longer than the time left")
        sleep(retry_after)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Refuse redirects: a webhook answers itself, so whoever redirects us is not Slack."""


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)


def _post(request: urllib.request.Request) -> tuple[int, float, str]:
    """Return the status, the seconds to wait, and the beginning of the answer."""
    try:
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
            return response.status, 0.0, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _seconds(error.headers.get("Retry-After")), error.read(200).decode(errors="replace")
    except (OSError, ValueError, HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise NotSent(f"Slack cannot be reached: {type(reason).__name__}") from None


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isdigit() else USUAL_WAIT_SECONDS
