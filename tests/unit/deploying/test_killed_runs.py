"""A run that dies at any call, before or after the call took effect: the same command again ends in the same state."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from deployments import World, passing

from deployer.deploying.results import DeployOutcome
from deployer.ledger import lock


class Killed(BaseException):
    """The process is gone: from here on it makes no call any more, not even to clear up."""


class Killer:
    """Kills the process at its nth call."""

    def __init__(self, world: World, at: int, *, after: bool) -> None:
        self._at, self._count, self._guard = at, 0, threading.Lock()
        self.has_killed = False
        for port in (world.cloud, world.store):
            port.before_call = self._before if not after else self._dead
            port.after_call = self._before if after else lambda name: None

    def _before(self, name: str) -> None:
        with self._guard:
            self._count += 1
            self.has_killed = self.has_killed or self._count > self._at
        self._dead(name)

    def _dead(self, name: str) -> None:
        if self.has_killed:
            raise Killed(name)


def revive(world: World) -> None:
    for port in (world.cloud, world.store):
        port.before_call = port.after_call = lambda name: None


def stacks(world: World) -> dict[str, tuple[object, ...]]:
    return {
        name: (s.body, s.parameters, s.tags, s.state.status, s.state.outputs) for name, s in world.cloud._stacks.items()
    }


def first_deployment(world: World) -> None:
    world.smoke = passing


def changed_script(world: World) -> None:
    world.smoke = passing
    world.deploy()
    world.forget_calls()
    world.write("job.py", "print(2)\n")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("given", [first_deployment, changed_script], ids=lambda given: given.__name__)
def test_the_same_command_again_ends_in_the_same_state(
    given: Callable[[World], None], after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a deployment killed at any of its calls, when it is run again, then all is as if it had never been killed,
    no change set was executed twice, nothing is left over, and the ledger has an end for both runs."""
    monkeypatch.setattr(lock, "_is_dead", lambda owner: True)
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    unharmed = World(tmp_path / "unharmed")
    given(unharmed)
    unharmed.deploy()
    expected, executed = stacks(unharmed), Counter(unharmed.cloud.executed)
    for at in range(1000):
        world = World(tmp_path / f"killed-{at}")
        given(world)
        killer = Killer(world, at, after=after)
        with suppress(Killed):
            world.deploy()
        revive(world)
        if not killer.has_killed:
            assert at > 20
            return
        again = world.deploy()
        assert again.outcome in (DeployOutcome.DONE, DeployOutcome.UNCHANGED), at
        assert stacks(world) == expected, at
        assert Counter(world.cloud.executed) == executed, at
        assert world.cloud.left_behind == [], at
        # A run that dies when all is done but its lock leaves the lock to expire; the next change takes it over.
        assert "locks/uat.json" not in world.store.objects or again.outcome is DeployOutcome.UNCHANGED, at
        runs = {key.split("/")[3] for key in world.store.objects if "/runs/" in key}
        ended = {key.split("/")[3] for key in world.store.objects if key.endswith("/end.json")}
        assert runs == ended, at
    raise AssertionError("the deployment never came to its end")
