"""A stand-in for Slack: accepts messages for a webhook, refuses what Slack refuses, and shows them on a page.

The template's secret holds no address until somebody sets one; here it then holds the address of this receiver. Any
other secret without a value has none, as on AWS; the emulator alone would return an empty string.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from deployer.local.completion import App, LocalCloud, Receive, Scope, Send
from deployer.local.emulator.answers import send_answer
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.paths import private

PAGE_PATH, JSON_PATH, WEBHOOK_PATH = "/_dataops/slack", "/_dataops/slack.json", "/_dataops/slack/webhook"
#: The tag of a secret that holds Slack's address.
HOLDS = {"Key": "Holds", "Value": "slack-webhook"}
SHOWN = 200
# https://docs.slack.dev/reference/block-kit/blocks
BLOCKS, HEADER_CHARACTERS, SECTION_CHARACTERS = 50, 150, 3000

Json = dict[str, Any]


def install(cloud: LocalCloud) -> None:
    """Refuse to read a secret without a value, as AWS does; the secret for Slack's address has the receiver's."""
    secrets = load("services.secretsmanager")
    original = require(secrets, "_get_secret_value", ("data",))
    resolve = require(secrets, "_resolve")

    def get_secret_value(data: Json) -> Any:
        answer = original(data)
        if answer[0] != 200:
            return answer
        found = json.loads(answer[2])
        if found.get("SecretString") or found.get("SecretBinary"):
            return answer
        if HOLDS in (resolve(data["SecretId"])[1].get("Tags") or []):
            return secrets.json_response({**found, "SecretString": f"{cloud.url}{WEBHOOK_PATH}"})
        message = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"
        return secrets.error_response_json("ResourceNotFoundException", message, 400)

    replace(secrets, "_get_secret_value", get_secret_value)


def middleware(cloud: LocalCloud, app: App) -> App:
    """Answer requests that are meant for Slack; the emulator would take their paths for names of buckets."""

    async def receiving(scope: Scope, receive: Receive, send: Send) -> None:
        asked = (scope["method"], scope["path"]) if scope["type"] == "http" else None
        match asked:
            case ("POST", path) if path == WEBHOOK_PATH:
                status, answer = take(cloud.paths.slack, await _body(receive))
                await send_answer(send, status, "text/plain; charset=utf-8", answer.encode())
            case ("GET", path) if path == PAGE_PATH:
                await send_answer(send, 200, "text/html; charset=utf-8", page(messages(cloud.paths.slack)).encode())
            case ("GET", path) if path == JSON_PATH:
                document = json.dumps({"messages": messages(cloud.paths.slack)})
                await send_answer(send, 200, "application/json", document.encode())
            case _:
                await app(scope, receive, send)

    return receiving


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


def take(file: Path, body: bytes) -> tuple[int, str]:
    """Keep a message, or refuse it as Slack does. https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/"""
    try:
        content = json.loads(body)
    except ValueError:
        return 400, "invalid_payload"
    if not isinstance(content, dict) or not (content.get("text") or content.get("blocks")):
        return 400, "no_text"
    if any(problems(block) for block in content.get("blocks", ())) or len(content.get("blocks", ())) > BLOCKS:
        return 400, "invalid_blocks"
    line = json.dumps({"received_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **content})
    with open(file, "a", encoding="utf-8", opener=private) as kept:
        kept.write(line + "\n")
        kept.flush()
        os.fsync(kept.fileno())
    return 200, "ok"


def problems(block: Any) -> bool:
    """Return whether Slack would refuse a block; a kind of block that we do not send counts as refused."""
    if not isinstance(block, dict):
        return True
    match block:
        case {"type": "header", "text": {"type": "plain_text", "text": str(text)}}:
            return not 0 < len(text) <= HEADER_CHARACTERS
        case {"type": "section", "text": {"type": "mrkdwn" | "plain_text", "text": str(text)}}:
            return not 0 < len(text) <= SECTION_CHARACTERS
        case {"type": "context", "elements": [*elements]}:
            return not 0 < len(elements) <= 10
        case {"type": "divider"}:
            return False
    return True


def messages(file: Path) -> list[Json]:
    """Return the received messages, newest first."""
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in reversed(lines[-SHOWN:])]


def page(received: list[Json]) -> str:
    """Return the page that shows the messages."""
    shown = "\n".join(f"<article><p>{escape(each['received_at'])}</p>{_shown(each)}</article>" for each in received)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Slack of the local cloud</title>
<style>body {{ font: 15px/1.5 sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em }}
article {{ border-left: 4px solid #999; padding: 0 1em; margin: 1.5em 0 }}
pre {{ white-space: pre-wrap; font: inherit; margin: .3em 0 }} h2 {{ font-size: 1.1em; margin: .3em 0 }}</style></head>
<body><h1>What Slack would have received</h1>
{shown or "<p>Nothing so far.</p>"}
</body></html>
"""


def _shown(content: Mapping[str, Any]) -> str:
    texts = list(_texts(content.get("blocks", ())))
    if not texts:
        return f"<pre>{_plain(str(content.get('text', '')))}</pre>"
    return "".join(
        f"<h2>{_plain(text)}</h2>" if kind == "header" else f"<pre>{_plain(text)}</pre>" for kind, text in texts
    )


def _texts(blocks: Any) -> Iterator[tuple[str, str]]:
    for block in blocks:
        for part in [block.get("text"), *block.get("elements", ())]:
            if isinstance(part, dict):
                yield str(block["type"]), str(part.get("text", ""))


def _plain(text: str) -> str:
    """Return Slack's text as HTML; Slack's three escapes are HTML's own, so undo them first and escape only once."""
    return escape(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
