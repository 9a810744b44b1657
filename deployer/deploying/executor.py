"""Carries out a plan: every stack starts as soon as its own parents are done, several at once.
A failure stops only what depends on it. What happens to one stack is stack_change.py's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from graphlib import TopologicalSorter

from deployer.cloudformation.failures import StackFailed
from deployer.cloudformation.port import StackState
from deployer.deploying.events import Progress, StackEnded
from deployer.deploying.results import StackOutcome, StackResult
from deployer.deploying.stack_change import StackChange
from deployer.errors import DataopsError, Refused
from deployer.pauses import Interrupted
from deployer.planning.change_sets import ChangeSets
from deployer.planning.plan import Plan, Step
from deployer.release.target import Outputs, Target

AT_ONCE = 8


class Executor:
    """Executes one plan. `change` makes the change of one step, `change_sets` are those that the plan has made."""

    def __init__(
        self,
        target: Target,
        change: Callable[[Step, StackState | None], StackChange],
        change_sets: ChangeSets,
        progress: Progress,
        *,
        bucket: str | None,
    ) -> None:
        self._target, self._change, self._change_sets, self._progress = target, change, change_sets, progress
        self._bucket = bucket

    def execute(self, plan: Plan, states: Mapping[str, StackState | None]) -> dict[str, StackResult]:
        """Return the result of every stack. Change sets that were not executed are always deleted."""
        try:
            return self._walk(plan, states)
        finally:
            self._change_sets.discard_all()

    def _walk(self, plan: Plan, states: Mapping[str, StackState | None]) -> dict[str, StackResult]:
        graph = TopologicalSorter({step.stack: step.parents for step in plan.steps})
        graph.prepare()
        results: dict[str, StackResult] = {}
        outputs: dict[str, Mapping[str, str]] = {}
        running: dict[Future[StackResult], str] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while graph.is_active():
                for stack in graph.get_ready():
                    # What is known so far holds all parents; the copy stays as it is while others end.
                    asked = (plan.step(stack), states.get(stack), dict(outputs))
                    running[pool.submit(self._run_timed, *asked)] = stack
                if not running:
                    break  # what is left depends on a failure
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = results[running.pop(future)] = future.result()
                    if result.is_good:
                        outputs[result.stack] = result.state.outputs if result.state else {}
                        graph.done(result.stack)
        not_started = {step.stack: StackResult(step.stack, StackOutcome.NOT_STARTED) for step in plan.steps}
        return {stack: results.get(stack, result) for stack, result in not_started.items()}

    def _run_timed(self, step: Step, state: StackState | None, outputs: Outputs) -> StackResult:
        """Return the result of one stack, even if it is an error."""
        started, change = time.monotonic(), self._change(step, state)
        try:
            result = change.carry_out(self._values(step, outputs), bucket=self._bucket)
        except Interrupted as error:
            outcome = StackOutcome.LEFT_RUNNING if change.is_running else StackOutcome.NOT_STARTED
            result = StackResult(step.stack, outcome, state, error=error)
        except Refused as error:
            result = StackResult(step.stack, StackOutcome.REFUSED, state, error=error)
        except DataopsError as error:
            result = StackResult(step.stack, StackOutcome.FAILED, state, error=error)
        result = replace(result, seconds=time.monotonic() - started)
        self._progress(StackEnded(step.stack, result.outcome.value, result.seconds, str(result.error or "")))
        return result

    def _values(self, step: Step, outputs: Outputs) -> dict[str, str]:
        """Return the values of all parameters. The parents are done, so a value is missing only if they did not give it."""
        values = self._target.values(step.stack, outputs)
        missing = [name for name, value in values.items() if not isinstance(value, str)]
        if missing:
            raise StackFailed(
                f"stack {step.stack}: no stack gave a value for {', '.join(missing)}",
                hint="a conditional output may be disabled: see dataops validate",
            )
        return {name: str(value) for name, value in values.items()}
