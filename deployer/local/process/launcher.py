"""The background process of the local cloud: ``python -m deployer.local.process.launcher <root>``.

It locks the state, listens on a port, installs the completions and serves until SIGTERM. control.py starts, finds and
stops it.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import os
import shutil
import signal
import socket
import sys
import uuid
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import IO, Any

from deployer.local.completion import App, LocalCloud, Receive, Scope, Send
from deployer.local.emulator.private_parts import WRITTEN_AGAINST, EmulatorChanged, UnknownState, check_version
from deployer.local.paths import LocalPaths
from deployer.local.process import endpoint as endpoints
from deployer.local.process.guard import Guard
from deployer.local.process.leftovers import end_processes_of

#: The completions in the order of their installation; a later one's middleware wraps those of the earlier ones.
COMPLETIONS = (
    "deployer.local.state.durability",
    "deployer.local.account",
    "deployer.local.rights.requests",
    "deployer.local.rights.functions",
    "deployer.local.rights.web_identity",
    "deployer.local.cloudformation.buckets",
    "deployer.local.cloudformation.replication",
    "deployer.local.cloudformation.resource_types",
    "deployer.local.cloudformation.template_rules",
    "deployer.local.cloudformation.caller_rights",
    "deployer.local.glue.catalog",
    "deployer.local.glue.job_runs",
    "deployer.local.glue.crawlers",
    "deployer.local.athena.service",
    "deployer.local.firehose.delivery",
    "deployer.local.log_events",
    "deployer.local.events.invocations",
    "deployer.local.events.deliveries",
    "deployer.local.events.schedules",
    "deployer.local.events.metrics",
    "deployer.local.events.alarms",
    "deployer.local.slack",
    "deployer.local.transfer.service",
    "deployer.local.lambda_workers",
    "deployer.local.api_gateway.definitions",
    "deployer.local.api_gateway.calls",
    "deployer.local.api_gateway.addresses",
)
KEEP_LOG_BYTES = 10 << 20
#: How long open connections may take to finish when the local cloud is stopped.
GRACE_SECONDS = 3.0
#: How long it may then take to end the jobs and to save the state.
ENDING_SECONDS = 8.0


def main(root: Path) -> None:
    """Serve the local cloud of `root` until SIGTERM; if that is impossible, exit with 1 and one line on stderr."""
    paths = LocalPaths(root)
    os.umask(0o077)  # only the owner can read what this process, the emulator and the jobs write
    try:
        lock = take_state(paths)
        listener, ports = take_ports(paths)
        check_version()
        cloud = LocalCloud(paths, ports)
        os.environ.update(GATEWAY_PORT=str(ports["gateway"]), SFTP_PORT=str(ports["sftp"]))
        app = complete(cloud)
    except (OSError, EmulatorChanged, UnknownState) as error:
        raise SystemExit(str(error)) from error
    endpoint = endpoints.describe(os.getpid(), ports, WRITTEN_AGAINST, uuid.uuid4().hex, endpoints.code_fingerprint())
    guarded = Guard(app, port=ports["gateway"], health=endpoints.health(endpoint, paths.root))
    living = around_life(guarded, started=lambda: endpoints.write(paths.endpoint, endpoint), ending=cloud.at_end)
    asyncio.run(serve(living, listener))
    end_processes_of(paths.temporary)  # running functions
    lock.close()
    # Worker threads of the emulator may still run and would keep the process alive; the state is saved.
    os._exit(0)


def around_life(app: App, *, started: Callable[[], None], ending: Sequence[Callable[[], None]]) -> App:
    """Wrap `app`: call `started` after its start, and `ending` before its end, in a thread since it may need the loop."""

    async def living(scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_later() -> MutableMapping[str, Any]:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                for end in ending:
                    await asyncio.to_thread(end)
            return message

        async def send_and_tell(message: MutableMapping[str, Any]) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                started()

        if scope["type"] == "lifespan":
            await app(scope, receive_later, send_and_tell)
        else:
            await app(scope, receive, send)

    return living


def take_state(paths: LocalPaths) -> IO[str]:
    """Lock the state until this process ends, however it ends, and remove what the last one left in scratch space."""
    for directory in (paths.root, paths.objects, paths.state):
        directory.mkdir(parents=True, exist_ok=True)
    lock = paths.serve_lock.open("a+", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise OSError(f"another process already serves {paths.root}") from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    for scratch in (paths.temporary, paths.runs):
        end_processes_of(scratch)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
    if paths.log.exists() and paths.log.stat().st_size > KEEP_LOG_BYTES:
        os.truncate(paths.log, 0)
    return lock


def take_ports(paths: LocalPaths) -> tuple[socket.socket, dict[str, int]]:
    """Listen on the port of the last launcher, or on any free one; always on loopback."""
    known = endpoints.read(paths.endpoint)
    remembered = dict(known.ports) if known is not None else {}
    asked_for = os.environ.get("DATAOPS_LOCAL_PORT")
    listener = _listen(int(asked_for)) if asked_for else _listen_somewhere(remembered.get("gateway", 0))
    with _listen_somewhere(remembered.get("sftp", 0)) as sftp:
        sftp_port = sftp.getsockname()[1]
    return listener, {"gateway": listener.getsockname()[1], "sftp": sftp_port}


def _listen_somewhere(preferred: int) -> socket.socket:
    try:
        return _listen(preferred)
    except OSError:
        return _listen(0)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise OSError(f"port {port} is taken by another program; choose another DATAOPS_LOCAL_PORT") from error
    return listener


def complete(cloud: LocalCloud) -> App:
    """Import the emulator and install every completion; raise `EmulatorChanged` if one does not fit."""
    from ministack.app import app

    wrapped: App = app
    for name in COMPLETIONS:
        module = importlib.import_module(name)
        module.install(cloud)
        if hasattr(module, "middleware"):
            wrapped = module.middleware(cloud, wrapped)
    return wrapped


async def serve(app: App, listener: socket.socket) -> None:
    """Answer requests until SIGTERM or SIGINT, then let open ones finish."""
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = GRACE_SECONDS
    config.shutdown_timeout = ENDING_SECONDS
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await hypercorn_serve(app, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
