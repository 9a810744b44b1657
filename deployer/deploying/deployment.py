"""One deployment from beginning to end: facts, the skip when nothing is to do, lock, plan, consent, artifacts, stacks,
smoke test, record. deploy, promote and rollback differ only in where their release comes from.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from deployer.cloudformation.outputs import outputs_of
from deployer.deploying.first_deployment import deploy_first_stack
from deployer.deploying.protection import protect_stacks
from deployer.deploying.readiness import await_others, is_done
from deployer.deploying.request import DeployRequest, Ports, Smoke
from deployer.deploying.results import DeployOutcome, DeployResult, StackResult, interruption_of, outcome_of
from deployer.deploying.run_record import RunRecord
from deployer.deploying.tools import Tools
from deployer.ledger.identity import new_run_id
from deployer.ledger.ledger import Ledger
from deployer.ledger.store import RecordStore
from deployer.pauses import Interrupted
from deployer.planning.facts import PlanFacts, facts_of
from deployer.planning.plan import Plan, require_allowed
from deployer.planning.planner import Planner
from deployer.release.artifacts import store_release
from deployer.release.target import Target


class Deployment:
    """Deploys one target."""

    def __init__(self, ports: Ports, target: Target, request: DeployRequest) -> None:
        self._ports, self._target, self._request = ports, target, request
        self._run = new_run_id(ports.now())
        self._tools = Tools(ports, target, request, self._run)
        self._started = time.monotonic()
        self._first: StackResult | None = None

    def plan(self) -> Plan:
        """Return what `run` would do now, and leave nothing behind."""
        with self._tools.planner(self.facts()) as planner:
            return planner.plan()

    def facts(self) -> PlanFacts:
        """Return the current state, including what this run has changed."""
        own = {self._first.stack: self._first.record} if self._first and self._first.record else {}
        return facts_of(self._ports.cloud, self._ports.open_store, self._target, own)

    def run(self) -> DeployResult:
        """Carry out the deployment. Raise DataopsError when it cannot begin; later failures are in the result."""
        facts = self.facts()
        if self._is_done(facts):
            return self._nothing_to_do(facts)
        facts = self._await_others(facts)
        if facts.bucket is not None:
            return self._run_locked(facts.bucket, approved=False)
        first = deploy_first_stack(self._tools, facts)
        if first.bucket is None:
            return replace(self._result(first.outcome, first.stacks), plan=first.plan)
        self._first = first.result
        return self._run_locked(first.bucket, approved=True)

    def _run_locked(self, bucket: str, *, approved: bool) -> DeployResult:
        store = self._ports.open_store(bucket)
        with self._tools.lock(store, is_new=approved):
            facts = self._await_others(self.facts())  # someone else may have deployed while we waited
            if self._is_done(facts):
                return self._nothing_to_do(facts)
            return self._under_lock(store, facts, approved=approved)

    def _under_lock(self, store: RecordStore, facts: PlanFacts, *, approved: bool) -> DeployResult:
        record = RunRecord(self._ports, Ledger(store, self._target.environment.name), self._request, self._run)
        record.sweep(facts)
        with self._tools.planner(facts) as planner:
            plan = planner.plan()
            require_allowed(plan, self._request.saved_plan)
            if not approved and plan.has_changes and not self._request.approve(plan):
                return replace(self._result(DeployOutcome.DECLINED), plan=plan)
            with record.keep(plan, facts):
                return self._carry_out(store, facts, plan, planner, record)

    def _carry_out(
        self, store: RecordStore, facts: PlanFacts, plan: Plan, planner: Planner, record: RunRecord
    ) -> DeployResult:
        uploaded = store_release(store, self._target.release)
        if uploaded.files:
            self._tools.say(f"uploaded {uploaded.files} artifacts, {uploaded.bytes:,} bytes")
        stacks = self._tools.executor(facts, planner.hand_over()).execute(plan, facts.states)
        deployed = {name: stack.state for name, stack in stacks.items() if stack.is_good}
        protect_stacks(self._ports.cloud, self._target, deployed, self._tools.say)
        renames = {stack: item["outputs"] for stack, item in self._target.release.manifest["stacks"].items()}
        result = replace(
            self._result(outcome_of(stacks.values()), self._with_first(stacks.values())),
            plan=plan,
            uploaded_bytes=uploaded.bytes,
            outputs=outputs_of({name: stack.state for name, stack in stacks.items()}, renames),
        )
        return self._conclude(record, facts, result)

    def _conclude(self, record: RunRecord, facts: PlanFacts, result: DeployResult) -> DeployResult:
        """Run the smoke test and record the result. What is deployed is recorded last, so that a killed run is checked again."""
        if result.outcome is DeployOutcome.DONE and self._ports.smoke is not None:
            facts = replace(facts, current=record.set_deployed(facts, result))
            result = self._test(self._ports.smoke, result)
        result = replace(result, seconds=time.monotonic() - self._started)
        record.end(result)
        record.set_deployed(facts, result)
        return result

    def _test(self, smoke: Smoke, result: DeployResult) -> DeployResult:
        try:
            with self._ports.pauses.interruptible():
                verdict = smoke(result.outputs, self._target.release)
        except Interrupted as interruption:
            return replace(result, outcome=DeployOutcome.INTERRUPTED, interruption=interruption)
        return replace(result, smoke=verdict, outcome=result.outcome if verdict.passed else DeployOutcome.SMOKE_FAILED)

    # Decisions.

    def _is_done(self, facts: PlanFacts) -> bool:
        return is_done(self._target, facts, self._request, with_smoke=self._ports.smoke is not None)

    def _await_others(self, facts: PlanFacts) -> PlanFacts:
        """Return the facts once no one else is changing a stack."""
        if not facts.busy:
            return facts
        await_others(self._ports, facts.busy, self._request.if_busy)
        return self.facts()

    # Results.

    def _nothing_to_do(self, facts: PlanFacts) -> DeployResult:
        assert facts.current is not None
        return replace(self._result(DeployOutcome.UNCHANGED), smoke=facts.current.smoke, run=facts.current.run)

    def _result(self, outcome: DeployOutcome, stacks: Iterable[StackResult] = ()) -> DeployResult:
        stacks = tuple(stacks)
        return DeployResult(
            self._target.environment.name,
            self._target.release.id,
            outcome,
            self._run,
            stacks=stacks,
            seconds=time.monotonic() - self._started,
            interruption=interruption_of(stacks),
        )

    def _with_first(self, stacks: Iterable[StackResult]) -> Iterable[StackResult]:
        """Return the results, including the artifacts stack as this run left it."""
        first = self._first
        return (first if first and stack.stack == first.stack and stack.is_good else stack for stack in stacks)
