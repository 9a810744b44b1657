"""One run at a time: a lock object in the bucket, taken with a conditional write, kept alive by a heartbeat.

A lock that a dead run has left expires. S3 decides who wins; nothing here waits.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from refunds_lake.objects import ObjectMissing, ObjectStore, PreconditionFailed, utc_moment, utc_text


class LockHeld(Exception):
    """Another run is at work; the message names it and says until when its lock holds."""


class LockLost(Exception):
    """The lock expired under this run and another run has taken it; nothing more may be published."""


class Lock:
    """A context manager that holds the lock; `assert_held` before anything that readers can see."""

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        holder: str,
        *,
        clock: Callable[[], datetime],
        lifetime: timedelta = timedelta(minutes=5),
    ) -> None:
        self._store = store
        self._key = key
        self._holder = holder
        self._clock = clock
        self._lifetime = lifetime
        self._etag = ""
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._heartbeat = threading.Thread(target=self._beat, name="lock-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._etag = self._store.put(self._key, self._body(), only_if_absent=True)
        except PreconditionFailed:
            self._take_over()
        self._heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._heartbeat.join()
        try:
            if self._store.get(self._key)[1] == self._etag:
                self._store.delete([self._key])
        except ObjectMissing:
            pass

    def assert_held(self) -> None:
        """Renew the lock now; raises LockLost when another run has it."""
        with self._writing:
            try:
                self._etag = self._store.put(self._key, self._body(), only_if_etag=self._etag)
            except PreconditionFailed as error:
                raise LockLost(f"the lock {self._key} expired under this run and another run has taken it") from error

    def _take_over(self) -> None:
        """Replace a lock that has expired, or that an earlier attempt of this same job run has left."""
        try:
            body, etag = self._store.get(self._key)
        except ObjectMissing:
            return self._retry_once()
        holder, expires_at = _parse(body)
        same_job_run = holder.partition("_attempt_")[0] == self._holder.partition("_attempt_")[0]
        if expires_at > self._clock() and not same_job_run:
            raise LockHeld(
                f"run {holder} is at work on these tables; its lock {self._key} holds until {utc_text(expires_at)}. "
                "Wait for it; if that run is dead, start again after that time."
            )
        try:
            self._etag = self._store.put(self._key, self._body(), only_if_etag=etag)
        except PreconditionFailed as error:
            raise LockHeld(f"another run has just taken the lock {self._key}; start again when it is done") from error

    def _retry_once(self) -> None:
        try:
            self._etag = self._store.put(self._key, self._body(), only_if_absent=True)
        except PreconditionFailed as error:
            raise LockHeld(f"another run has just taken the lock {self._key}; start again when it is done") from error

    def _body(self) -> bytes:
        now = self._clock()
        document = {"holder": self._holder, "renewed_at": utc_text(now), "expires_at": utc_text(now + self._lifetime)}
        return json.dumps(document).encode()

    def _beat(self) -> None:
        while not self._stop.wait(self._lifetime.total_seconds() / 4):
            try:
                self.assert_held()
            except LockLost:
                return
            except Exception as error:  # noqa: BLE001 - passing S3 errors; publishing asserts the lock
                print(f"warning: could not renew the lock {self._key}: {error}", flush=True)


def _parse(body: bytes) -> tuple[str, datetime]:
    document = json.loads(body)
    return str(document["holder"]), utc_moment(document["expires_at"])
