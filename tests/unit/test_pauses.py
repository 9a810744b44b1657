"""`--timeout`: whatever a command waits for, it ends in order, says so, and the same command goes on from there."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from deployments import World, passing

from deployer.errors import Locked
from deployer.events import Said
from deployer.lock import EnvironmentLock
from deployer.pauses import Deadline, Pauses, TimeIsUp


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
    with pytest.raises(TimeIsUp, match=r"the time limit of 0 s \(--timeout\) is over"):
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
    assert report.outcome == "interrupted"
    assert {r.stack: r.outcome.value for r in report.results}["job"] == "left running"
    assert str(report.error) == "the time limit of 60 s (--timeout) is over"
    assert not EnvironmentLock(world.store, "uat").owner()


def test_the_same_command_goes_on_from_there(tmp_path: Path) -> None:
    """Given a deployment that ended at its time limit, when it is run again, then it ends what was begun, not twice."""
    world = slow(tmp_path)
    world.deploy()
    world.cloud.after_execution = lambda stack: None
    world.cloud.set_status("shop-uat-job", "UPDATE_COMPLETE")
    world.deadline, executed = Deadline(), list(world.cloud.executed)
    assert world.deploy().outcome == "done"
    assert world.cloud.executed == executed


def test_the_lock_is_waited_for_no_longer_than_the_command_may_take(tmp_path: Path) -> None:
    """Given a lock that is held, when less time is left than the wait may take, then the wait is that much shorter."""
    world = World(tmp_path)
    world.deploy()
    world.write("job.py", "print(2)\n")
    EnvironmentLock(world.store, "uat").take("somebody-else")
    world.deadline = Deadline(0.01)
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
    assert report.outcome == "done"
    assert report.smoke is not None and report.smoke.passed
