"""One deploy at a time per environment: a lock object that S3's conditional writes make atomic.
The owner's heartbeat keeps it; when the heartbeat stops, the lock expires and the next run takes it over.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from deployer.errors import DataopsError, Denied, Locked
from deployer.ledger.store import RecordStore, readable

LIFETIME_SECONDS = 90.0
HEARTBEAT_SECONDS = 20.0
RETRY_SECONDS = 2.0
# The right to a bucket and a key that were made just now may not be known everywhere for minutes.
# https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency
RIGHTS_SECONDS = 300.0


@dataclass(frozen=True)
class Owner:
    """Who holds a lock. `machine` and `pid` let a run on the same machine see that the owner is dead."""

    run: str  #: the run
    who: str  #: the person or the pipeline
    machine: str  #: the machine on which the run is active
    pid: int  #: its process there
    since: float  #: since when, in seconds since 1970
    expires: float  #: when it expires without a heartbeat
    url: str = ""  #: the page of the pipeline's run; empty for a person

    def describe(self, now: float) -> str:
        left = f"expires in {self.expires - now:.0f} s without a heartbeat" if self.expires > now else "has expired"
        where = f" ({self.url})" if self.url else ""
        return f"{self.who}, run {self.run}{where}, for {now - self.since:.0f} s; it {left}"


def this_owner(run: str, now: float) -> Owner:
    return Owner(
        run, f"{_user()}@{platform.node()}", _machine(), os.getpid(), now, now + LIFETIME_SECONDS, _pipeline_url()
    )


def _user() -> str:
    try:
        return os.environ.get("BUILD_REQUESTEDFOREMAIL") or getpass.getuser()
    except (KeyError, OSError):  # no name for this uid, as in some containers
        return f"uid-{os.getuid()}"


def _pipeline_url() -> str:
    """Return the address of the pipeline run, as Azure Pipelines announces it."""
    parts = [os.environ.get(name, "") for name in ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECT", "BUILD_BUILDID")]
    return f"{parts[0]}{parts[1]}/_build/results?buildId={parts[2]}" if all(parts) else ""


def _machine() -> str:
    """Return one id per boot and process namespace: two containers with the same host name are two machines."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def _is_dead(owner: Owner) -> bool:
    """Return True only if it is certain that the owner's process ran on this machine and has ended."""
    if not owner.machine or owner.machine != _machine():
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


class EnvironmentLock:
    """The lock of one environment."""

    def __init__(
        self,
        store: RecordStore,
        environment: str,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self.key = store, f"locks/{environment}.json"
        self._environment, self._clock, self._sleep = environment, clock, sleep

    def owner(self) -> tuple[Owner, str] | None:
        """Return who holds the lock, with the version to give when it is taken over."""
        found = self._store.get(self.key)
        return (Owner(**json.loads(found.body)), found.etag) if found else None

    def take(
        self,
        run: str,
        *,
        timeout_seconds: float = 0.0,
        rights_seconds: float = 0.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> str:
        """Take the lock, waiting for it at most so long; its version. Raise Locked, which names the owner.

        For `rights_seconds` a denial only means that the right to a new bucket is not known everywhere yet.
        """
        deadline, told = self._clock() + timeout_seconds, False
        while True:
            if etag := self._try_as_allowed(run, rights_seconds, say):
                return etag
            now = self._clock()
            if now >= deadline:
                raise self._locked(now)
            if not told:
                say(f"environment {self._environment} is locked; waiting up to {timeout_seconds:.0f} s")
                told = True
            self._sleep(min(RETRY_SECONDS, deadline - now))

    def _try_as_allowed(self, run: str, rights_seconds: float, say: Callable[[str], None]) -> str | None:
        deadline, told = self._clock() + rights_seconds, False
        while True:
            try:
                return self._try(run, say)
            except Denied as error:
                now = self._clock()
                if now >= deadline:
                    raise
                if not told:
                    what = f"the permission for the new bucket has not taken effect everywhere yet ({error.message})"
                    say(f"{what}; waiting up to {rights_seconds:.0f} s")
                    told = True
                self._sleep(min(RETRY_SECONDS, deadline - now))

    def _try(self, run: str, say: Callable[[str], None]) -> str | None:
        body = readable(asdict(this_owner(run, self._clock())))
        if etag := self._store.create(self.key, body):
            return etag
        held = self.owner()
        if held is None:  # released between the two calls
            return self._store.create(self.key, body)
        owner, etag = held
        if owner.run == run:  # our own write whose answer was lost
            return etag
        if owner.expires > self._clock() and not _is_dead(owner):
            return None
        taken = self._store.replace(self.key, body, etag)
        if taken:
            say(f"took over the lock of run {owner.run}, which ended without releasing it")
        return taken

    def _locked(self, now: float) -> Locked:
        held = self.owner()
        by = held[0].describe(now) if held else "a run that has just ended"
        return Locked(
            f"environment {self._environment} is locked by {by}",
            hint=f"wait with --lock-timeout SECONDS, or dataops unlock --env {self._environment}",
        )

    def beat(self, etag: str) -> str | None:
        """Prolong the lock; None when it is no longer ours."""
        held = self.owner()
        if held is None or held[1] != etag:
            return None
        prolonged = replace(held[0], expires=self._clock() + LIFETIME_SECONDS)
        return self._store.replace(self.key, readable(asdict(prolonged)), etag)

    def release(self, etag: str) -> bool:
        return self._store.delete(self.key, etag)

    @contextmanager
    def held(
        self,
        run: str,
        *,
        timeout_seconds: float = 0.0,
        rights_seconds: float = 0.0,
        say: Callable[[str], None] = lambda _: None,
        on_loss: Callable[[str], None] = lambda why: None,
    ) -> Iterator[None]:
        """Hold the lock, with a heartbeat in the background; `on_loss` is called with the reason when the lock is lost."""
        etag = self.take(run, timeout_seconds=timeout_seconds, rights_seconds=rights_seconds, say=say)
        keeper = _Keeper(self, etag, say, on_loss)
        keeper.start()
        try:
            yield
        finally:
            keeper.stop()


class _Keeper(threading.Thread):
    """The heartbeat. A failed beat is tried again until the lock would have expired."""

    def __init__(
        self, lock: EnvironmentLock, etag: str, say: Callable[[str], None], on_loss: Callable[[str], None]
    ) -> None:
        super().__init__(name="lock-heartbeat", daemon=True)
        self._lock, self._etag, self._say, self._on_loss = lock, etag, say, on_loss
        self._ended = threading.Event()

    def run(self) -> None:
        failed_since: float | None = None
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                etag = self._lock.beat(self._etag)
            except DataopsError as error:  # the next beat decides
                failed_since = failed_since or time.monotonic()
                if time.monotonic() - failed_since < LIFETIME_SECONDS - HEARTBEAT_SECONDS:
                    continue
                self._on_loss(f"the lock could not be extended ({error.message})")
                return
            failed_since = None
            if etag is None:
                self._on_loss("the lock was taken by another run")
                return
            self._etag = etag

    def stop(self) -> None:
        """End the heartbeat and release the lock. How the work under it ended is never hidden by a release that failed."""
        self._ended.set()
        self.join(timeout=10)
        try:
            self._lock.release(self._etag)
        except DataopsError as error:
            self._say(
                f"the lock could not be released ({error.message}): it expires in {LIFETIME_SECONDS:.0f} s at the latest"
            )
