"""`dataops unlock`: remove the lock that a killed run left behind, after showing whose it is."""

from __future__ import annotations

import time
from dataclasses import dataclass

import click

from deployer.composition.environment import artifacts_store
from deployer.documents import as_document
from deployer.errors import Refused
from deployer.ledger.lock import EnvironmentLock
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples, yes_option


@dataclass(frozen=True)
class UnlockResult:
    """What became of an environment's lock."""

    environment: str  #: the environment
    unlocked: bool = False  #: a lock was removed
    declined: bool = False  #: the answer was no
    run: str | None = None  #: the run whose lock was removed; null if none was


@click.command(epilog=examples("dataops unlock --env uat", "dataops unlock --env uat --yes"))
@env_option
@yes_option
@click.pass_obj
def unlock(app: App, /, env_name: str, yes: bool) -> int:
    """Remove the lock of an environment. A lock expires by itself when its owner's heartbeat stops."""
    lock = EnvironmentLock(artifacts_store(app.connect(env_name)), env_name)
    held = lock.owner()
    if held is None:
        app.emit(as_document(UnlockResult(env_name)), f"environment {env_name} is not locked")
        return 0
    owner, etag = held
    app.say(f"environment {env_name} is locked by {owner.describe(time.time())}")
    if not app.confirm("remove this lock? its run will stop if it is still active", yes=yes):
        app.emit(as_document(UnlockResult(env_name, declined=True)), "the lock was not removed")
        return 6
    if not lock.release(etag):
        raise Refused("the lock has a new owner by now", hint="check the owner before you remove it")
    result = UnlockResult(env_name, unlocked=True, run=owner.run)
    app.emit(as_document(result), f"removed the lock of run {owner.run}")
    return 0
