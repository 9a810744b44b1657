"""Durable state: no response is sent before the state that it shows is saved.

The emulator saves when it is shut down, but not when it is killed. Here a commit precedes every response: it compares
the stores that were touched (touched.py) with what is saved, and writes the difference in one transaction (store.py).
The emulator writes the bodies of S3 objects to files before it answers; here a failure to do so is an error, not just a
line in the log.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

from deployer.local.completion import App, LocalCloud, Receive, Scope, Send
from deployer.local.emulator.answers import send_error
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.state.repair import repair
from deployer.local.state.store import StateStore, kind_of
from deployer.local.state.touched import Marks, snapshot, watch

logger = logging.getLogger("dataops.durability")
#: How often changes that no response has shown yet are saved.
BACKGROUND_SECONDS = 1.0
#: Not state but a second copy of it (for Logs Insights), which is not needed here.
LEFT_OUT = {("cloudwatch_logs", "log_records")}
#: The error code for a full disk, also in S3's own answers.
DISK_FULL = "InsufficientStorage"
FREE_SOME = "free some space, or `dataops local reset` to delete the local data"
#: If less than an object's size and this much is free after a failed write, the disk was full.
SPARE_BYTES = 1 << 20

_durability: Durability | None = None


class NotWritten(OSError):
    """The body of an object is not on disk."""


def install(cloud: LocalCloud) -> None:
    """Replace the emulator's saving and loading."""
    global _durability
    app = load("app")
    for name in ("_build_persistence_save_dict", "_get_module", "_state_map"):
        require(app, name)
    marks = Marks()
    watch(marks)
    _durability = Durability(app, StateStore(cloud.paths.database), marks)
    durability = _durability
    replace(app, "_load_persisted_state", lambda: durability.restore())
    replace(app, "save_all", lambda services: durability.commit_everything())
    cloud.savers.append(lambda: save_changes(durability))
    keep_sessions()
    make_object_failures_loud()


def save_changes(durability: Durability) -> None:
    """Save what was touched since the last time."""
    durability.commit(set())


def middleware(cloud: LocalCloud, app: App) -> App:
    """Wrap the app with a commit before every response."""
    assert _durability is not None
    return Committed(app, _durability)


class Durability:
    """Knows the services' stores and saves those that were touched."""

    def __init__(self, app: Any, store: StateStore, marks: Marks) -> None:
        self._app = app
        self._store = store
        self.marks = marks
        self._owners: dict[str, frozenset[int]] = {}

    def restore(self) -> None:
        """Give every service its saved state back, then settle what a killed process left unfinished."""
        saved = self._store.load()
        for key, module in self._app._state_map.items():
            if key in saved:
                self._app._get_module(module).load_persisted_state(saved[key])
        repair()
        self.commit_everything()

    def commit(self, touched: set[int]) -> int:
        """Save what differs in the touched stores; raise if that fails."""
        with snapshot():
            return self._store.save(self._stores(touched | self.marks.take()))

    def commit_everything(self) -> None:
        """Save what differs anywhere."""
        self.marks.take()
        with snapshot():
            self._store.save(self._stores(None))

    def _stores(self, touched: set[int] | None) -> dict[tuple[str, str], Any]:
        """Return (service, store) -> content of the touched stores (None: of all)."""
        found: dict[tuple[str, str], Any] = {}
        for service, get_state in self._app._build_persistence_save_dict().items():
            owned = self._owned(service, get_state)
            if touched is not None and owned and owned.isdisjoint(touched):
                continue
            for name, content in (get_state() or {}).items():
                # A store that get_state computes (that of S3 without the bodies) is compared whenever its service is.
                untouched = touched is not None and id(content) in owned and id(content) not in touched
                if not untouched and (service, name) not in LEFT_OUT:
                    found[service, name] = content
        return found

    def _owned(self, service: str, get_state: Any) -> frozenset[int]:
        """Return the stores that the service's module has; found once, they live as long as the process."""
        if service not in self._owners:
            module = vars(sys.modules[get_state.__module__])
            self._owners[service] = frozenset(id(value) for value in module.values() if kind_of(value) != "value")
        return self._owners[service]


class Committed:
    """ASGI middleware that commits before it responds; a response whose state cannot be saved becomes an error."""

    def __init__(self, app: App, durability: Durability) -> None:
        self._app = app
        self._durability = durability
        self._saver: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._saver = asyncio.create_task(self._save_in_background())
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        failed = False

        async def committed(message: MutableMapping[str, Any]) -> None:
            nonlocal failed
            if message["type"] == "http.response.start":
                try:
                    self._durability.commit(touched)
                except Exception as error:
                    logger.exception("the state could not be saved")
                    failed = True
                    await _not_saved(scope, send, error)
            if not failed:
                await send(message)

        with self._durability.marks.request() as touched:
            await self._app(scope, receive, committed)

    async def _save_in_background(self) -> None:
        while True:
            await asyncio.sleep(BACKGROUND_SECONDS)
            try:
                self._durability.commit(set())
            except Exception:
                logger.exception("the state could not be saved")


async def _not_saved(scope: Scope, send: Send, error: Exception) -> None:
    """Answer with an error: 507 for a full disk, which no SDK retries, because only a person can help."""
    if is_full(error):
        message = f"the disk of the local cloud is full; {FREE_SOME}"
        await send_error(scope, send, status=507, code=DISK_FULL, message=message)
    else:
        message = f"the local cloud could not save its state ({error}); see .dataops/local/launcher.log"
        await send_error(scope, send, status=500, code="InternalFailure", message=message)


def is_full(error: Exception) -> bool:
    """Return whether an error, of SQLite or of the system, means a full disk."""
    match error:
        case sqlite3.OperationalError():
            return error.sqlite_errorcode == sqlite3.SQLITE_FULL
        case OSError():
            return error.errno in (errno.ENOSPC, errno.EDQUOT)
        case _:
            return False


def keep_sessions() -> None:
    """Keep temporary credentials and their accounts over a restart; the emulator forgets them."""
    sts = load("services.sts")
    sessions = require(sts, "_sessions")
    sts.get_state = lambda: {"sessions": dict(sessions)}  # type: ignore[attr-defined]
    replace(sts, "load_persisted_state", lambda data: sessions.update(data.get("sessions", {})))


def make_object_failures_loud() -> None:
    """Fail a request whose object could not be written to disk, and restore what was there before."""
    s3 = load("services.s3")
    require(s3, "_object_versions")
    original = require(s3, "_persist_object", ("bucket", "key", "obj"))

    def persist(bucket: str, key: str, obj: Any) -> None:
        original(bucket, key, obj)
        if isinstance(obj, dict) and obj.get("body") is not None:
            # The emulator drops the body from memory once it is written, and only logs a failed write.
            with suppress(OSError):
                os.remove(s3._object_disk_path(bucket, key) + ".tmp")
            raise NotWritten(f"s3://{bucket}/{key} could not be written to disk")

    dispatch = require(s3, "_dispatch", ("method", "bucket", "key", "headers", "body", "query_params"))

    def answer(method: str, bucket: str, key: str, headers: Any, body: bytes, query_params: Any) -> Any:
        put_back = as_it_is(s3, bucket, key)
        try:
            return dispatch(method, bucket, key, headers, body, query_params)
        except NotWritten as error:
            put_back()
            if shutil.disk_usage(s3.DATA_DIR).free < len(body) + SPARE_BYTES:
                return s3._error(DISK_FULL, f"{error}: the disk is full; {FREE_SOME}", 507)
            return s3._error("InternalError", str(error), 500)

    s3._persist_object, s3._dispatch = persist, answer  # type: ignore[attr-defined]


def as_it_is(s3: Any, bucket: str, key: str | None) -> Callable[[], None]:
    """Return a function that restores this key's object and versions as they are now."""
    record = s3._buckets.get(bucket)
    if record is None or not key:
        return lambda: None
    found, versions = record["objects"].get(key), list(s3._object_versions.get((bucket, key)) or [])

    def put_back() -> None:
        for store, place, value in ((record["objects"], key, found), (s3._object_versions, (bucket, key), versions)):
            if value:
                store[place] = value
            else:
                store.pop(place, None)

    return put_back
