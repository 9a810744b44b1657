"""What was sent before: each occurrence is claimed before it is sent, and each open problem is remembered.

The records are small objects in S3 with conditional writes: of two deliveries of one message, only one sends it. A
message is sent twice only if a function dies between Slack's answer and the record of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from refunds_alerts.message import Message, State
from refunds_lake.storage.objects import ObjectMissing, ObjectStore, PreconditionFailed, utc_moment, utc_text

LEASE_SECONDS: Final = 90
"""After this a claim has expired: its function's own timeout has stopped the function before."""
TOLD_PREFIX, OPEN_PREFIX = "alerts/told/", "alerts/open/"
_TOLD, _SENDING, _FREE = "told", "sending", "free"


class BeingTold(Exception):
    """Another delivery is sending the message; Lambda retries this one, which then sees how the other ended."""


@dataclass(frozen=True)
class Told:
    """The memory of one environment."""

    store: ObjectStore
    clock: Callable[[], datetime]

    def is_news(self, message: Message) -> bool:
        """Return whether anyone needs the message: a recovery only matters if its problem was sent."""
        return message.state is not State.RECOVERED or self._read(_open_key(message)).get("open") is True

    @contextmanager
    def once(self, message: Message) -> Iterator[bool]:
        """Claim a message; yield whether to send it. If the block ends without error, it is sent. Raise BeingTold."""
        key = f"{TOLD_PREFIX}{_name(message.id)}.json"
        etag = self._claim(key, message)
        if etag is None:
            yield False
            return
        try:
            yield True
        except Exception:
            self._write(key, message, _FREE, etag)
            raise
        self._write(key, message, _TOLD, etag)
        self._remember(message)

    def _claim(self, key: str, message: Message) -> str | None:
        """Return the record's ETag if the message is ours to send, None if it was sent."""
        try:
            return self.store.put(key, self._record(message, _SENDING), only_if_absent=True)
        except PreconditionFailed:
            body, etag = self.store.get(key)
        record = json.loads(body)
        if record["state"] == _TOLD:
            return None
        if record["state"] == _SENDING and utc_moment(record["at"]) + timedelta(seconds=LEASE_SECONDS) > self.clock():
            raise BeingTold(message.id)
        try:
            return self.store.put(key, self._record(message, _SENDING), only_if_etag=etag)
        except PreconditionFailed:
            raise BeingTold(message.id) from None

    def _remember(self, message: Message) -> None:
        if message.state is not State.NEWS:
            record = {"subject": message.subject, "open": message.state is State.PROBLEM, "since": message.at}
            self.store.put(_open_key(message), json.dumps(record).encode())

    def _write(self, key: str, message: Message, state: str, etag: str) -> None:
        self.store.put(key, self._record(message, state), only_if_etag=etag)

    def _record(self, message: Message, state: str) -> bytes:
        return json.dumps({"id": message.id, "state": state, "at": utc_text(self.clock())}).encode()

    def _read(self, key: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.store.get(key)[0])
        except ObjectMissing:
            return {}
        return found


def _open_key(message: Message) -> str:
    return f"{OPEN_PREFIX}{_name(message.subject)}.json"


def _name(text: str) -> str:
    """Return any text in a form that fits into a key."""
    return sha256(text.encode()).hexdigest()[:32]
