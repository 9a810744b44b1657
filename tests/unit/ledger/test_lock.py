"""One run at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest
from deployments import World
from fake_cloud import FakeStore

from deployer.errors import DataopsError, Denied, Locked
from deployer.ledger import lock
from deployer.ledger.lock import LIFETIME_SECONDS, EnvironmentLock


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def lock_of(store: FakeStore, clock: Clock) -> EnvironmentLock:
    return EnvironmentLock(store, "uat", clock=clock, sleep=clock.sleep)


def test_the_second_run_is_told_who_is_first() -> None:
    """Given a held lock, when another run wants it, then it fails at once and names owner and next step."""
    store, clock = FakeStore(), Clock()
    lock_of(store, clock).take("first")
    with pytest.raises(Locked, match="run first") as raised:
        lock_of(store, clock).take("second")
    assert raised.value.exit_code == 5
    assert "--lock-timeout" in str(raised.value.hint)


def test_waiting_ends_when_the_lock_is_released() -> None:
    """Given a held lock, when it is released within the timeout, then the waiting run gets it."""
    store, clock = FakeStore(), Clock()
    first = lock_of(store, clock)
    etag = first.take("first")
    waits = iter([lambda: None, lambda: first.release(etag)])

    def sleep(seconds: float) -> None:
        clock.now += seconds
        next(waits)()

    assert EnvironmentLock(store, "uat", clock=clock, sleep=sleep).take("second", timeout_seconds=60)


def test_waiting_ends_with_the_timeout() -> None:
    """Given a lock that is kept, when the timeout is over, then the run fails."""
    store, clock = FakeStore(), Clock()
    lock_of(store, clock).take("first")
    with pytest.raises(Locked):
        lock_of(store, clock).take("second", timeout_seconds=30)
    assert clock.now == pytest.approx(1030)


def denying(store: FakeStore, times: int) -> None:
    """Let the next calls be denied."""
    denials = iter(range(times))

    def deny(name: str) -> None:
        if next(denials, None) is not None:
            raise Denied("AWS denies PutObject: no identity-based policy allows kms:GenerateDataKey")

    store.before_call = deny


def test_the_right_to_a_new_bucket_is_waited_for() -> None:
    """Given a bucket that was made just now, when AWS does not know our right to it yet, then that is said once and waited for."""
    store, clock, said = FakeStore(), Clock(), list[str]()
    denying(store, 20)
    assert lock_of(store, clock).take("first", rights_seconds=300, say=said.append)
    assert clock.now == pytest.approx(1040)
    assert len(said) == 1
    assert "kms:GenerateDataKey" in said[0] and said[0].endswith("waiting up to 300 s")


def test_a_right_that_nobody_granted_ends_the_wait() -> None:
    """Given no right to the new bucket, when five minutes are over, then the denial is the error."""
    store, clock = FakeStore(), Clock()
    denying(store, 10**9)
    with pytest.raises(Denied):
        lock_of(store, clock).take("first", rights_seconds=300)
    assert clock.now == pytest.approx(1300)


def test_a_denial_at_a_bucket_that_is_not_new_is_final() -> None:
    """Given a bucket of before, when the lock is denied, then nobody waits."""
    store, clock = FakeStore(), Clock()
    denying(store, 1)
    with pytest.raises(Denied):
        lock_of(store, clock).take("first", timeout_seconds=60)
    assert clock.now == pytest.approx(1000)


def test_a_lock_without_heartbeat_expires() -> None:
    """Given an owner that has stopped beating, when its lifetime is over, then the next run takes the lock over."""
    store, clock = FakeStore(), Clock()
    lock_of(store, clock).take("first")
    clock.now += LIFETIME_SECONDS + 1
    assert lock_of(store, clock).take("second")


def test_a_heartbeat_keeps_the_lock() -> None:
    """Given an owner that beats, when its first lifetime is over, then the lock is still its own."""
    store, clock = FakeStore(), Clock()
    held = lock_of(store, clock)
    etag = held.take("first")
    clock.now += LIFETIME_SECONDS - 1
    assert held.beat(etag)
    clock.now += 2
    with pytest.raises(Locked):
        lock_of(store, clock).take("second")


def test_a_lost_lock_is_noticed_and_not_released() -> None:
    """Given a lock that another run took over, when the first one beats or releases, then it learns of it and harms nothing."""
    store, clock = FakeStore(), Clock()
    first = lock_of(store, clock)
    etag = first.take("first")
    clock.now += LIFETIME_SECONDS + 1
    lock_of(store, clock).take("second")
    assert first.beat(etag) is None
    assert first.release(etag) is False
    assert "second" in store.objects["locks/uat.json"].decode()


def test_the_heartbeat_tells_of_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a run that holds the lock, when somebody unlocks it, then the run hears of it."""
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.01)
    store, lost = FakeStore(), SimpleQueue[str]()
    with EnvironmentLock(store, "uat").held("first", on_loss=lost.put):
        store.objects.clear()
        assert lost.get(timeout=5) == "the lock was taken by another run"


def test_a_store_that_does_not_answer_is_no_other_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a run that holds the lock, when the store is gone, then that is why it stops, and its end is not hidden by it."""
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(lock, "LIFETIME_SECONDS", 0.05)
    store, lost, said = FakeStore(), SimpleQueue[str](), []

    def gone(name: str) -> None:
        raise DataopsError("no answer")

    with EnvironmentLock(store, "uat").held("first", say=said.append, on_loss=lost.put):
        store.before_call = gone
        assert lost.get(timeout=5) == "the lock could not be extended (no answer)"
    assert said == ["the lock could not be released (no answer): it expires in 0 s at the latest"]


def test_an_owner_whose_process_is_gone_is_no_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an owner on this machine whose process has ended, then the lock is taken over at once."""
    store, clock = FakeStore(), Clock()
    lock_of(store, clock).take("first")
    monkeypatch.setattr(lock.os, "kill", _gone)
    assert lock_of(store, clock).take("second")
    monkeypatch.setattr(lock, "_machine", lambda: "another machine")
    with pytest.raises(Locked):
        lock_of(store, clock).take("third")


def _gone(pid: int, signal: int) -> None:
    raise ProcessLookupError


def deploy_twenty_at_once(world: World) -> list[str]:
    """Start 20 deployments in the same moment; returns how each ended."""
    together = threading.Barrier(20)

    def deploy(_: int) -> str:
        target = world.target()
        together.wait()
        try:
            return world.deploy(target).outcome.value
        except Locked:
            return "locked"

    with ThreadPoolExecutor(20) as pool:
        return list(pool.map(deploy, range(20)))


def test_of_twenty_deployments_at_once_one_runs(tmp_path: Path) -> None:
    """Given a changed release, when 20 deployments start at once, then one executes and nothing is executed twice."""
    world = World(tmp_path)
    world.deploy()
    world.forget_calls()
    world.write("job.py", "print(2)\n")
    outcomes = deploy_twenty_at_once(world)
    assert outcomes.count("done") == 1
    assert set(outcomes) <= {"done", "locked", "unchanged"}
    assert world.cloud.executed == ["job"]


def test_of_twenty_first_deployments_one_runs(tmp_path: Path) -> None:
    """Given an empty account, when 20 deployments start at once, then every stack is made once, the first one too."""
    world = World(tmp_path)
    outcomes = deploy_twenty_at_once(world)
    assert outcomes.count("done") == 1, outcomes
    assert set(outcomes) <= {"done", "locked", "unchanged"}, outcomes
    assert sorted(world.cloud.executed) == ["base", "job", "report", "store"]
