"""The tools of one run of a deployment: its change sets, planners, executors and lock, all under the run's name."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress

from deployer.deploying.events import Said
from deployer.deploying.executor import Executor
from deployer.deploying.request import DeployRequest, Ports
from deployer.deploying.stack_change import ChangeContext, StackChange
from deployer.ledger.lock import RIGHTS_SECONDS, EnvironmentLock
from deployer.ledger.store import RecordStore
from deployer.pauses import Interrupted, TimeIsUp
from deployer.planning.change_sets import ChangeSets
from deployer.planning.facts import PlanFacts
from deployer.planning.planner import Planner
from deployer.release.artifacts import store_file
from deployer.release.target import Target


class Tools:
    """Makes the parts of a run. A plan and its execution share the change sets that `change_sets` made for them."""

    def __init__(self, ports: Ports, target: Target, request: DeployRequest, run: str) -> None:
        self.ports, self.target, self.request, self.run = ports, target, request, run

    def say(self, text: str) -> None:
        self.ports.progress(Said(text))

    def change_sets(self) -> ChangeSets:
        ports, reverts = self.ports, self.request.options.revert_drift
        return ChangeSets(ports.cloud, self.target, ports.pauses, self.say, run=self.run, reverts_drift=reverts)

    def planner(self, facts: PlanFacts) -> Planner:
        ports = self.ports

        def publish(stack: str) -> None:
            assert facts.bucket is not None
            store_file(ports.open_store(facts.bucket), self.target.template_file(stack))

        return Planner(
            ports.cloud,
            self.target,
            facts,
            self.request.options,
            self.change_sets(),
            pauses=ports.pauses,
            publish=publish,
        )

    def executor(self, facts: PlanFacts, change_sets: ChangeSets) -> Executor:
        ports = self.ports
        context = ChangeContext(
            ports.cloud, self.target, self.request.options, self.run, ports.pauses, ports.progress, change_sets
        )
        return Executor(
            self.target,
            lambda step, state: StackChange(context, step, state),
            change_sets,
            ports.progress,
            bucket=facts.bucket,
        )

    def lock(self, store: RecordStore, *, is_new: bool) -> AbstractContextManager[None]:
        """Return the environment's lock, waiting as long as the operator allows; in a new bucket until we may write there."""
        lock = EnvironmentLock(store, self.target.environment.name, sleep=self._sleep)
        left = self.ports.pauses.deadline.left
        return lock.held(
            self.run,
            timeout_seconds=left(self.request.lock_timeout_seconds),
            rights_seconds=left(RIGHTS_SECONDS) if is_new else 0.0,
            say=self.say,
            on_loss=self._stop,
        )

    def _sleep(self, seconds: float) -> None:
        """Pause until a signal ends it. The deadline is left to the lock, which names the holder in its message."""
        with suppress(TimeIsUp):
            self.ports.pauses.pause(seconds)

    def _stop(self, why: str) -> None:
        self.say(f"{why}: stopping")
        with suppress(Interrupted):  # this is the heartbeat's thread: the others end at their next pause
            self.ports.pauses.stop(why)
