"""One deployment from beginning to end: facts, the skip when nothing is to do, lock, plan, consent, artifacts, stacks,
smoke test, record. deploy, promote and rollback differ only in where their release comes from.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any

from deployer.artifacts import store_file, store_release
from deployer.change_sets import ChangeSets
from deployer.errors import Refused
from deployer.events import Said
from deployer.execute import Executor
from deployer.facts import Facts, await_others, facts_of, is_done
from deployer.identity import new_run_id
from deployer.ledger import Ledger
from deployer.lock import EnvironmentLock
from deployer.pauses import Interrupted
from deployer.plan import Plan, staleness
from deployer.planner import Planner
from deployer.request import DeployRequest, DeployResult, Ports, Smoke
from deployer.results import StackOutcome, StackResult, outcome_of
from deployer.run_record import RunRecord
from deployer.stack_change import StackChange, Tools
from deployer.store import RecordStore
from deployer.target import ARTIFACTS_BUCKET_OUTPUT, Target


class Deployment:
    """Deploys one target."""

    def __init__(self, ports: Ports, target: Target, request: DeployRequest) -> None:
        self._ports, self._target, self._request = ports, target, request
        self._run = new_run_id(ports.now())
        self._started = time.monotonic()
        self._first: StackResult | None = None

    def plan(self) -> Plan:
        """What `run` would do now. Nothing is left behind."""
        with self._planner(self.facts()) as planner:
            return planner.plan()

    def facts(self) -> Facts:
        """What is there now, with what this run has made of it."""
        own = {self._first.stack: self._first.record} if self._first and self._first.record else {}
        return facts_of(self._ports, self._target, own)

    def run(self) -> DeployResult:
        """Raises DataopsError when it cannot begin; a failure on the way is in the report."""
        facts = self.facts()
        if self._is_done(facts):
            return self._unchanged(facts)
        facts = self._unbusy(facts)
        if facts.bucket is None:
            return self._run_first(facts)
        return self._run_locked(facts.bucket, approved=False)

    def _run_first(self, facts: Facts) -> DeployResult:
        """The first deployment ever: the artifacts bucket comes before there is anything to lock or to upload to."""
        with self._planner(facts) as planner:
            plan = planner.plan()
        self._refuse(plan)
        if not self._request.approve(plan):
            return self._report("declined", plan=plan)
        first = replace(plan.step(self._target.artifacts_stack), parents=())
        executor = self._executor(facts, self._change_sets())
        self._first = executor.execute(replace(plan, steps=(first,)), facts.states)[first.stack]
        made = self._first.state.outputs.get(ARTIFACTS_BUCKET_OUTPUT) if self._first.state else None
        if not self._first.is_good or made is None:
            others = (StackResult(s.stack, StackOutcome.NOT_STARTED) for s in plan.steps if s.stack != first.stack)
            return self._report(outcome_of([self._first]), plan=plan, results=(self._first, *others))
        return self._run_locked(made, approved=True)

    def _run_locked(self, bucket: str, *, approved: bool) -> DeployResult:
        store = self._ports.open_store(bucket)
        with self._lock(store):
            facts = self._unbusy(self.facts())  # somebody else may have deployed while we waited
            if self._is_done(facts):
                return self._unchanged(facts)
            return self._under_lock(store, facts, approved=approved)

    def _under_lock(self, store: RecordStore, facts: Facts, *, approved: bool) -> DeployResult:
        record = RunRecord(self._ports, Ledger(store, self._target.environment.name), self._request, self._run)
        record.sweep(facts)
        with self._planner(facts) as planner:
            plan = planner.plan()
            self._refuse(plan)
            if not approved and plan.has_changes and not self._request.approve(plan):
                return self._report("declined", plan=plan)
            with record.kept(plan, facts):
                return self._carried_out(store, facts, plan, planner, record)

    def _carried_out(
        self, store: RecordStore, facts: Facts, plan: Plan, planner: Planner, record: RunRecord
    ) -> DeployResult:
        uploaded = store_release(store, self._target.release)
        if uploaded.files:
            self._say(f"uploaded {uploaded.files} artifacts, {uploaded.bytes:,} bytes")
        results = self._executor(facts, planner.hand_over()).execute(plan, facts.states).values()
        report = self._report(
            outcome_of(results),
            plan=plan,
            results=self._with_first(results),
            uploaded_bytes=uploaded.bytes,
            outputs=self._outputs(results),
        )
        return self._concluded(record, facts, report)

    def _concluded(self, record: RunRecord, facts: Facts, report: DeployResult) -> DeployResult:
        """Smoke test and records. What is deployed is written last: until then a killed run is looked at again."""
        if report.outcome == "done" and self._ports.smoke is not None:
            facts = replace(facts, current=record.deployed(facts, report))
            report = self._smoked(self._ports.smoke, report)
        report = replace(report, seconds=time.monotonic() - self._started)
        record.end(report)
        record.deployed(facts, report)
        return report

    def _smoked(self, smoke: Smoke, report: DeployResult) -> DeployResult:
        try:
            with self._ports.pauses.interruptible():
                verdict = smoke(report.outputs, self._target.release)
        except Interrupted:
            return replace(report, outcome="interrupted")
        return replace(report, smoke=verdict, outcome="done" if verdict.passed else "smoke-failed")

    # Decisions.

    def _is_done(self, facts: Facts) -> bool:
        return is_done(self._target, facts, self._request, with_smoke=self._ports.smoke is not None)

    def _unbusy(self, facts: Facts) -> Facts:
        """The facts when nobody else is changing a stack."""
        if not facts.busy:
            return facts
        await_others(self._ports, facts.busy, self._request.if_busy)
        return self.facts()

    def _refuse(self, plan: Plan) -> None:
        """The guards. Nothing has been changed when they speak."""
        if self._request.saved_plan is not None and (why := staleness(self._request.saved_plan, plan.document())):
            raise Refused("the plan is stale: " + "; ".join(why), hint="make a new plan with dataops plan --out FILE")
        if plan.blocked:
            step = plan.blocked[0]
            raise Refused(f"stack {step.stack} cannot be deployed: {step.note}")
        if plan.risks:
            allow = " ".join(f"--allow-replace {risk.logical_id}" for risk in plan.risks)
            raise Refused("; ".join(map(str, plan.risks)), hint=f"if that is wanted: {allow}")

    # Reports.

    def _unchanged(self, facts: Facts) -> DeployResult:
        assert facts.current is not None
        return self._report("unchanged", smoke=facts.current.smoke, run=facts.current.run)

    def _report(self, outcome: str, **rest: Any) -> DeployResult:
        known: dict[str, Any] = {"run": self._run, "seconds": time.monotonic() - self._started, **rest}
        return DeployResult(self._target.environment.name, self._target.release.id, outcome, **known)

    def _with_first(self, results: Iterable[StackResult]) -> tuple[StackResult, ...]:
        """The results, with the artifacts stack as this run has made it."""
        first = self._first
        return tuple(first if first and r.stack == first.stack and r.is_good else r for r in results)

    def _outputs(self, results: Iterable[StackResult]) -> dict[str, str]:
        """All outputs after the renames of dataops.yml."""
        renames = {stack: item["outputs"] for stack, item in self._target.release.manifest["stacks"].items()}
        return {
            renames[r.stack].get(name, name): value
            for r in results
            if r.state
            for name, value in r.state.outputs.items()
        }

    # Parts.

    def _change_sets(self) -> ChangeSets:
        ports, drift = self._ports, self._request.options.revert_drift
        return ChangeSets(ports.cloud, self._target, ports.pauses, self._say, run=self._run, reverts_drift=drift)

    def _planner(self, facts: Facts) -> Planner:
        ports, change_sets = self._ports, self._change_sets()

        def publish(stack: str) -> None:
            assert facts.bucket is not None
            store_file(ports.open_store(facts.bucket), self._target.template_file(stack))

        options = self._request.options
        return Planner(ports.cloud, self._target, facts, options, change_sets, pauses=ports.pauses, publish=publish)

    def _executor(self, facts: Facts, change_sets: ChangeSets) -> Executor:
        ports, options = self._ports, self._request.options
        tools = Tools(ports.cloud, self._target, options, self._run, ports.pauses, ports.progress, change_sets)
        return Executor(
            self._target,
            lambda step, state: StackChange(tools, step, state),
            change_sets,
            ports.progress,
            bucket=facts.bucket,
        )

    def _lock(self, store: RecordStore) -> AbstractContextManager[None]:
        lock = EnvironmentLock(store, self._target.environment.name)
        seconds = self._ports.pauses.deadline.left(self._request.lock_timeout_seconds)
        return lock.held(self._run, timeout_seconds=seconds, say=self._say, on_loss=self._lost)

    def _lost(self) -> None:
        self._say("the lock was taken by another run: stopping")
        with suppress(Interrupted):
            self._ports.pauses.stop()

    def _say(self, text: str) -> None:
        self._ports.progress(Said(text))
