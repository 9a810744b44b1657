"""The adapters for the ports of a deployment, and the signals that stop a run in an orderly way."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deployer.composition.environment import cloud_of, store_of
from deployer.composition.examination import examination
from deployer.deploying.events import Doing, Progress, Said
from deployer.deploying.request import Ports, Smoke
from deployer.lake.deployed_lake import Lake, lake_from
from deployer.lake.jobs import Watcher
from deployer.lake.smoke.attempts import test_with_retries
from deployer.lake.smoke.smoke_test import run_smoke_test
from deployer.ledger.verdict import Verdict
from deployer.pauses import Pauses
from deployer.release.release import Release
from deployer.release.target import Target

if TYPE_CHECKING:
    from deployer.aws.session import Session

_SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def ports_of(session: Session, progress: Progress, pauses: Pauses, *, with_smoke: bool) -> Ports:
    return Ports(
        cloud=cloud_of(session),
        open_store=lambda bucket: store_of(session, bucket),
        progress=progress,
        pauses=pauses,
        smoke=_smoke_of(session, progress, pauses) if with_smoke else None,
        blockers=lambda target: _blockers(session, target),
    )


def _blockers(session: Session, target: Target) -> list[str]:
    return [f"{check}: {check.advice}" for check in examination(session, target)() if check.is_blocker]


def _smoke_of(session: Session, progress: Progress, pauses: Pauses) -> Smoke:
    watcher = Watcher(lambda text: progress(Said(text)), lambda text, seconds: progress(Doing(text, seconds)))

    def run(outputs: Mapping[str, str], release: Release) -> Verdict:
        def open_lake() -> Lake:
            return lake_from(session.environment.name, outputs, session.client)

        deadline = pauses.deadline
        return test_with_retries(
            lambda: run_smoke_test(open_lake, watcher, release=release, deadline=deadline),
            pause=pauses.pause,
            say=watcher.say,
            left=deadline.left,
        )

    return run


@contextmanager
def stoppable(pauses: Pauses) -> Iterator[None]:
    """End the run at the next pause, cleanly, on the first Ctrl-C or SIGTERM, and at once on the second.

    The interruption carries the exit code that the shell gives to a process that ended by the signal.
    """

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        pauses.stop(_SIGNALS[signal.Signals(number)], exit_code=128 + number)

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
