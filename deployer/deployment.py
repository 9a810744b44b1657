"""One deployment from beginning to end: facts, the skip when nothing is to do, lock, plan, consent, artifacts, stacks,
smoke test, record. deploy, promote and rollback differ only in where their release comes from.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

from deployer.artifacts import store_file, store_release
from deployer.aws import describe_all
from deployer.errors import DataopsError, Refused
from deployer.execute import Executor, StackOutcome, StackResult
from deployer.identity import new_run_id
from deployer.ledger import Current, Ledger
from deployer.lock import EnvironmentLock, this_owner
from deployer.plan import Plan, StepKind, staleness
from deployer.planner import Facts, Planner, discard, is_recorded
from deployer.progress import Said
from deployer.smoke_policy import SmokeResult, is_pass
from deployer.statuses import Handling, row_of
from deployer.store import Store
from deployer.target import ARTIFACTS_BUCKET_OUTPUT, Target
from deployer.version import version
from deployer.waiting import Interrupted, settled_stack
from deployer.wish import Ports, Report, Wish


class Deployment:
    """Deploys one target."""

    def __init__(self, ports: Ports, target: Target, wish: Wish) -> None:
        self._ports, self._target, self._wish = ports, target, wish
        self._run = new_run_id(ports.now())
        self._started = time.monotonic()
        self._first: StackResult | None = None

    def run(self) -> Report:
        """Raises DataopsError when it cannot begin; a failure on the way is in the report."""
        facts = self.facts()
        if self.is_done(facts):
            return self._unchanged(facts)
        facts = self._unbusy(facts)
        if facts.bucket is None:
            return self._run_first(facts)
        return self._run_locked(facts.bucket, approved=False)

    def _run_first(self, facts: Facts) -> Report:
        """The first deployment ever: the artifacts bucket comes before there is anything to lock or to upload to."""
        with self._planner(facts) as planner:
            plan = planner.plan()
        self._refuse(plan)
        if not self._wish.approve(plan):
            return self._report("declined", plan=plan)
        first = replace(plan.step(self._target.artifacts_stack), parents=())
        self._first = self._executor(facts).execute(replace(plan, steps=(first,)), facts.states)[first.stack]
        made = self._first.state.outputs.get(ARTIFACTS_BUCKET_OUTPUT) if self._first.state else None
        if not self._first.is_good or made is None:
            others = (
                StackResult(step.stack, StackOutcome.NOT_STARTED) for step in plan.steps if step.stack != first.stack
            )
            return self._report(_outcome([self._first]), plan=plan, results=(self._first, *others))
        return self._run_locked(made, approved=True)

    def _run_locked(self, bucket: str, *, approved: bool) -> Report:
        store = self._ports.open_store(bucket)
        with self._lock(store):
            facts = self._unbusy(self.facts())  # somebody else may have deployed while we waited
            if self.is_done(facts):
                return self._unchanged(facts)
            return self._under_lock(store, facts, approved=approved)

    def plan(self) -> Plan:
        """What `run` would do now. Nothing is left behind."""
        with self._planner(self.facts()) as planner:
            return planner.plan()

    # Facts.

    def facts(self) -> Facts:
        """One DescribeStacks per stack, and one GET of the ledger when there is a bucket."""
        states = describe_all(self._ports.cloud, self._target.stack_names)
        artifacts = states[self._target.artifacts_stack]
        bucket = artifacts.outputs.get(ARTIFACTS_BUCKET_OUTPUT) if artifacts else None
        current = self._ledger(self._ports.open_store(bucket)).current() if bucket else None
        own = {self._first.stack: self._first.record} if self._first and self._first.record else {}
        return Facts(states, current, bucket, own)

    def is_done(self, facts: Facts) -> bool:
        """Whether the ledger proves that this release is deployed, untouched since, and passed where a test is asked for."""
        current = facts.current
        if current is None or current.release != self._target.release.id or current.outcome != "done":
            return False
        if self._wish.saved_plan is not None or (self._ports.smoke is not None and not is_pass(current.smoke)):
            return False
        outputs = {stack: state.outputs for stack, state in facts.states.items() if state}
        return all(self._is_as_recorded(stack, facts, outputs) for stack in self._target.templates)

    def _is_as_recorded(self, stack: str, facts: Facts, outputs: Mapping[str, Mapping[str, str]]) -> bool:
        values = self._target.values(stack, outputs)
        if not all(isinstance(value, str) for value in values.values()):
            return False
        request = self._target.request(stack, {k: str(v) for k, v in values.items()}, bucket=facts.bucket)
        return is_recorded(self._target, facts, stack, request.digest)

    def _unbusy(self, facts: Facts) -> Facts:
        """Wait for operations that somebody else has started, or refuse, as asked."""
        busy = {
            s: state for s, state in facts.states.items() if state and row_of(state.status).handling is Handling.WAIT
        }
        if not busy:
            return facts
        if self._wish.if_busy == "fail":
            stack, state = next(iter(busy.items()))
            raise Refused(
                f"stack {stack} is {row_of(state.status).meaning} ({state.status})",
                hint="run the same command when it has ended, or with --if-busy wait",
            )
        for stack, state in busy.items():
            self._say(f"stack {stack} is {row_of(state.status).meaning}: waiting for it")
            follow = (
                (lambda: None)
                if self._wish.if_busy == "wait"
                else self._executor(facts).follower(stack, state.stack_id)
            )
            settled_stack(self._ports.cloud, state.stack_id, self._ports.pauses, on_poll=follow)
        return self.facts()

    # Steps.

    def _under_lock(self, store: Store, facts: Facts, *, approved: bool) -> Report:
        ledger = self._ledger(store)
        self._sweep(ledger, facts)
        with self._planner(facts) as planner:
            plan = planner.plan()
            self._refuse(plan)
            if not approved and plan.has_changes and not self._wish.approve(plan):
                return self._report("declined", plan=plan)
            with self._recorded(ledger, plan, facts):
                uploaded = store_release(store, self._target.release)
                if uploaded.files:
                    self._say(f"uploaded {uploaded.files} artifacts, {uploaded.bytes:,} bytes")
                results = self._executor(facts, planner.hand_over()).execute(plan, facts.states)
                report = self._report(
                    _outcome(results.values()),
                    plan=plan,
                    results=self._with_first(results),
                    uploaded_bytes=uploaded.bytes,
                    outputs=self._outputs(results),
                )
                return self._concluded(ledger, facts, report)

    @contextmanager
    def _recorded(self, ledger: Ledger, plan: Plan, facts: Facts) -> Iterator[None]:
        """The run's start in the ledger, and its end when it breaks off."""
        ledger.start(self._run, self._start_record(plan, facts))
        try:
            yield
        except DataopsError as error:
            with suppress(DataopsError):  # the first error is the one to tell
                ledger.end(
                    self._run,
                    {
                        "outcome": "interrupted" if isinstance(error, Interrupted) else "failed",
                        "error": str(error),
                        "finished_at": _text(self._ports.now()),
                    },
                )
            raise

    def _with_first(self, results: Mapping[str, StackResult]) -> tuple[StackResult, ...]:
        """The results, with the artifacts stack as this run has made it."""
        first = self._first
        return tuple(first if first and r.stack == first.stack and r.is_good else r for r in results.values())

    def _concluded(self, ledger: Ledger, facts: Facts, report: Report) -> Report:
        """Smoke test and records. What is deployed is written last: until then a killed run is looked at again."""
        if report.outcome == "done" and self._ports.smoke is not None:
            facts = replace(facts, current=ledger.set_current(self._current(facts, report)))
            report = self._smoked(self._ports.smoke, report)
        report = replace(report, seconds=time.monotonic() - self._started)
        ledger.end(self._run, {"finished_at": _text(self._ports.now()), **report.document()})
        ledger.set_current(self._current(facts, report))
        return report

    def _smoked(self, smoke: Callable[[Mapping[str, str], str], SmokeResult], report: Report) -> Report:
        try:
            with self._ports.pauses.interruptible():
                result = smoke(report.outputs, report.release)
        except Interrupted:
            return replace(report, outcome="interrupted")
        return replace(report, smoke=result.document(), outcome="done" if result.passed else "smoke-failed")

    def _current(self, facts: Facts, report: Report) -> Current:
        """What is deployed from now on: stacks of this run as it left them, the others as they were recorded."""
        before = facts.current.stacks if facts.current else {}
        records = {result.stack: result.record for result in report.results if result.record}
        smoke = report.smoke
        if smoke is None and facts.current is not None and facts.current.release == report.release:
            smoke = facts.current.smoke
        return Current(
            release=report.release,
            run=self._run,
            deployed_at=_text(self._ports.now()),
            outcome="done" if report.outcome == "smoke-failed" else report.outcome,
            commit=self._commit,
            stacks={**before, **records},
            smoke=smoke,
            promoted_from=str(self._wish.notes.get("promoted_from", "")),
            etag=facts.current.etag if facts.current else None,
        )

    def _sweep(self, ledger: Ledger, facts: Facts) -> None:
        """Give a killed run its end in the ledger, and delete the change sets that it left behind."""
        for run in ledger.unfinished():
            self._say(f"run {run} was killed: clearing up after it")
            ledger.end(run, {"outcome": "killed", "noticed_by": self._run, "finished_at": _text(self._ports.now())})
            for state in filter(None, facts.states.values()):
                discard(
                    self._ports.cloud,
                    [
                        made
                        for made, name in self._ports.cloud.change_sets(state.stack_id)
                        if name.startswith(f"dataops-{run}-")
                    ],
                )

    def _refuse(self, plan: Plan) -> None:
        """The guards. Nothing has been changed when they speak."""
        if self._wish.saved_plan is not None and (why := staleness(self._wish.saved_plan, plan.document())):
            raise Refused("the plan is stale: " + "; ".join(why), hint="make a new plan with dataops plan --out FILE")
        if plan.blocked:
            step = plan.blocked[0]
            raise Refused(f"stack {step.stack} cannot be deployed: {step.note}")
        if plan.risks:
            allow = " ".join(f"--allow-replace {risk.logical_id}" for risk in plan.risks)
            raise Refused("; ".join(map(str, plan.risks)), hint=f"if that is wanted: {allow}")

    # Helpers.

    @cached_property
    def _commit(self) -> str:
        return self._wish.commit()

    def _unchanged(self, facts: Facts) -> Report:
        assert facts.current is not None
        return self._report("unchanged", smoke=facts.current.smoke, run=facts.current.run)

    def _report(self, outcome: str, **rest: Any) -> Report:
        known: dict[str, Any] = {"run": self._run, "seconds": time.monotonic() - self._started, **rest}
        return Report(self._target.environment.name, self._target.release.id, outcome, **known)

    def _outputs(self, results: Mapping[str, StackResult]) -> dict[str, str]:
        """All outputs after the renames of dataops.yml."""
        renames = {stack: item["outputs"] for stack, item in self._target.release.manifest["stacks"].items()}
        return {
            renames[r.stack].get(name, name): value
            for r in results.values()
            if r.state
            for name, value in r.state.outputs.items()
        }

    def _start_record(self, plan: Plan, facts: Facts) -> dict[str, Any]:
        owner = this_owner(self._run, 0.0)
        return {
            "command": self._wish.command,
            "environment": plan.environment,
            "release": plan.release,
            "from_release": facts.current.release if facts.current else None,
            "plan_digest": plan.digest,
            "changes": {step.stack: step.kind.name.lower() for step in plan.steps if step.kind is not StepKind.NOTHING},
            "started_at": _text(self._ports.now()),
            "who": owner.who,
            "pipeline": owner.url,
            "dataops": version(),
            "commit": self._commit,
            **self._wish.notes,
        }

    def _planner(self, facts: Facts) -> Planner:
        def publish(stack: str) -> None:
            assert facts.bucket is not None
            store_file(self._ports.open_store(facts.bucket), self._target.template_file(stack))

        return Planner(
            self._ports.cloud,
            self._target,
            facts,
            self._wish.options,
            run=self._run,
            pauses=self._ports.pauses,
            publish=publish,
        )

    def _executor(self, facts: Facts, change_sets: Mapping[str, Any] | None = None) -> Executor:
        return Executor(
            self._ports.cloud,
            self._target,
            self._wish.options,
            run=self._run,
            bucket=facts.bucket,
            pauses=self._ports.pauses,
            progress=self._ports.progress,
            change_sets=change_sets,
        )

    def _ledger(self, store: Store) -> Ledger:
        return Ledger(store, self._target.environment.name)

    def _lock(self, store: Store) -> AbstractContextManager[None]:
        lock = EnvironmentLock(store, self._target.environment.name)
        return lock.held(self._run, timeout_seconds=self._wish.lock_timeout_seconds, say=self._say, on_loss=self._lost)

    def _lost(self) -> None:
        self._say("the lock was taken by another run: stopping")
        with suppress(Interrupted):
            self._ports.pauses.stop()

    def _say(self, text: str) -> None:
        self._ports.progress(Said(text))


def _outcome(results: Iterable[StackResult]) -> str:
    """The worst of the stacks."""
    results = tuple(results)
    if any(isinstance(result.error, Interrupted) for result in results):
        return "interrupted"
    outcomes = {result.outcome for result in results}
    if StackOutcome.FAILED in outcomes:
        return "failed"
    return "refused" if StackOutcome.REFUSED in outcomes else "done"


def _text(when: dt.datetime) -> str:
    return when.isoformat(timespec="seconds")
