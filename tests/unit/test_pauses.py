"""`--timeout`: whatever a command waits for, it ends in order, says so, and the same command goes on from there."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from deployments import World, passing

from deployer.composition.ports import stoppable
from deployer.deploying.deployment import Deployment
from deployer.deploying.events import Said
from deployer.deploying.request import DeployRequest
from deployer.deploying.results import DeployOutcome
from deployer.documents import as_document
from deployer.errors import Locked
from deployer.ledger.lock import EnvironmentLock
from deployer.pauses import Deadline, Interrupted, Pauses, TimeIsUp
from deployer.terminal.deployment_text import failure_of, result_text


class Clock:
    """A clock that goes on by a second whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_what_is_left() -> None:
    """Given a deadline, then what is left shrinks to 0 and no further, and a wait takes no more than it may."""
    clock = Clock()
    deadline = Deadline(4, clock=clock)
    assert [deadline.left(), deadline.left(at_most=1), deadline.left()] == [3, 1, 1]
    assert deadline.is_over
    assert deadline.left() == 0


def test_without_a_time_limit_nothing_is_ever_over() -> None:
    deadline = Deadline()
    assert deadline.left() == math.inf
    assert deadline.left(at_most=300) == 300
    assert not deadline.is_over


def test_a_pause_ends_with_the_time_that_is_left() -> None:
    """Given less time than a pause takes, then the pause is shorter, and what is over is said."""
    with pytest.raises(TimeIsUp, match=r"the time limit of 0 s \(--timeout\) has passed"):
        Pauses(deadline=Deadline(0.01)).pause(3600)


def slow(tmp_path: Path) -> World:
    """A deployed project whose job has changed; the job's stack goes on and on."""
    world = World(tmp_path)
    world.deploy()
    world.write("job.py", "print(2)\n")
    world.cloud.after_execution = lambda stack: world.cloud.set_status(stack, "UPDATE_IN_PROGRESS")
    world.deadline = Deadline(60, clock=Clock())
    return world


def test_a_stack_that_does_not_end_is_left_running(tmp_path: Path) -> None:
    """Given a stack that goes on, when the time is over, then it is left running, the rest is not started, and that is said."""
    world = slow(tmp_path)
    report = world.deploy()
    assert report.outcome is DeployOutcome.INTERRUPTED
    assert {r.stack: r.outcome.value for r in report.stacks}["job"] == "left running"
    assert str(report.error) == "the time limit of 60 s (--timeout) has passed"
    assert not EnvironmentLock(world.store, "uat").owner()


def test_the_same_command_goes_on_from_there(tmp_path: Path) -> None:
    """Given a deployment that ended at its time limit, when it is run again, then it ends what was begun, not twice."""
    world = slow(tmp_path)
    world.deploy()
    world.cloud.after_execution = lambda stack: None
    world.cloud.set_status("shop-uat-job", "UPDATE_COMPLETE")
    world.deadline, executed = Deadline(), list(world.cloud.executed)
    assert world.deploy().outcome is DeployOutcome.DONE
    assert world.cloud.executed == executed


def test_the_lock_is_waited_for_no_longer_than_the_command_may_take(tmp_path: Path) -> None:
    """Given a lock that is held, when less time is left than the wait may take, then the wait is that much shorter."""
    world = World(tmp_path)
    world.deploy()
    world.write("job.py", "print(2)\n")
    EnvironmentLock(world.store, "uat").take("somebody-else")
    world.deadline = Deadline(0.01, clock=lambda: 0.0)  # a busy machine must not end it before it waits
    with pytest.raises(Locked):
        world.deploy(lock_timeout_seconds=3600)
    assert Said("environment uat is locked; waiting up to 0 s") in world.progress.events


def test_a_verdict_that_came_late_is_kept(tmp_path: Path) -> None:
    """Given a smoke test that ends after the deadline, then its verdict is recorded all the same."""
    world = World(tmp_path)
    clock = Clock()
    world.deadline = Deadline(10_000, clock=clock)

    def late(*_: object) -> object:
        clock.now += 20_000
        return passing()

    world.smoke = late  # type: ignore[assignment]
    report = world.deploy()
    assert report.outcome is DeployOutcome.DONE
    assert report.smoke is not None and report.smoke.passed


# Ctrl-C and SIGTERM.

SIGNALS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]


@pytest.mark.parametrize(("number", "code", "said"), SIGNALS)
def test_a_signal_ends_the_next_pause_with_its_own_exit_code(number: signal.Signals, code: int, said: str) -> None:
    """Given a run that a signal stops, then its interruption carries the exit code of the shell, and how to go on."""
    pauses = Pauses()
    with stoppable(pauses):
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted, match=said) as caught:
            pauses.pause(3600)
    assert caught.value.exit_code == code
    assert str(caught.value.hint).startswith("run the same command again")


@pytest.mark.parametrize(("number", "code", "said"), SIGNALS)
def test_an_interrupted_deployment_says_what_goes_on(
    tmp_path: Path, number: signal.Signals, code: int, said: str
) -> None:
    """Given a deployment whose stack is under way, when a signal stops it, then the exit code is the signal's, and what
    CloudFormation goes on with and how to get back to it is said."""
    world = slow(tmp_path)
    world.deadline, ports = Deadline(), world.ports()

    def stop(stack: str) -> None:
        world.cloud.set_status(stack, "UPDATE_IN_PROGRESS")
        os.kill(os.getpid(), number)

    world.cloud.after_execution = stop
    with stoppable(ports.pauses):
        result = Deployment(ports, world.target(), DeployRequest()).run()
    assert result.outcome is DeployOutcome.INTERRUPTED
    error = failure_of(result)
    assert error is not None and error.exit_code == code
    assert str(error) == f"{said}; CloudFormation continues with job"
    assert str(error.hint).startswith("run the same command again: it attaches to running operations")
    assert f"not deployed to uat: interrupted after {result.seconds:.1f} s" in result_text(result)


def test_an_interrupted_smoke_test_leaves_nothing_behind_in_cloudformation(tmp_path: Path) -> None:
    """Given Ctrl-C during the smoke test, then the run ends as interrupted, with 130, and no stack goes on."""
    world = World(tmp_path)
    ports = replace(world.ports(), smoke=lambda *_: os.kill(os.getpid(), signal.SIGINT))  # type: ignore[arg-type]
    with stoppable(ports.pauses):
        result = Deployment(ports, world.target(), DeployRequest()).run()
    error = failure_of(result)
    assert error is not None and error.exit_code == 130
    assert str(error) == "interrupted; CloudFormation has nothing left to do"
    assert as_document(result)["outcome"] == "interrupted"


def test_the_wait_for_the_lock_ends_with_a_signal(tmp_path: Path) -> None:
    """Given a lock that is held, when Ctrl-C comes while it is waited for, then the wait is over at once."""
    world = World(tmp_path)
    world.deploy()
    world.write("job.py", "print(2)\n")
    EnvironmentLock(world.store, "uat").take("somebody-else")
    ports = world.ports()
    with stoppable(ports.pauses):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted) as caught:
            Deployment(ports, world.target(), DeployRequest(lock_timeout_seconds=3600)).run()
    assert caught.value.exit_code == 130
