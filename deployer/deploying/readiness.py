"""Before a deployment acts: whether there is anything to do, and waiting for others who are changing the stacks."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.cloudformation.port import StackState
from deployer.cloudformation.statuses import row_of
from deployer.cloudformation.waiting import await_stack
from deployer.deploying.events import Said
from deployer.deploying.protection import unprotected_stacks
from deployer.deploying.request import DeployRequest, IfBusy, Ports
from deployer.deploying.results import DeployOutcome
from deployer.deploying.stack_change import follower
from deployer.errors import Refused
from deployer.planning.facts import PlanFacts, is_recorded
from deployer.release.target import Target


def is_done(target: Target, facts: PlanFacts, request: DeployRequest, *, with_smoke: bool) -> bool:
    """Return whether the ledger proves that this release is deployed, untouched since, and has passed if a test is required.

    What ought to be protected from deletion must be: DescribeStacks says it beside the rest.
    """
    current = facts.current
    if current is None or current.release != target.release.id or current.outcome != DeployOutcome.DONE.value:
        return False
    has_passed = current.smoke is not None and current.smoke.passed
    if request.saved_plan is not None or request.options.revert_drift or (with_smoke and not has_passed):
        return False
    if unprotected_stacks(target, facts.states):
        return False
    outputs = {stack: state.outputs for stack, state in facts.states.items() if state}
    return all(_is_as_recorded(target, facts, stack, outputs) for stack in target.templates)


def _is_as_recorded(target: Target, facts: PlanFacts, stack: str, outputs: Mapping[str, Mapping[str, str]]) -> bool:
    values = target.values(stack, outputs)
    if not all(isinstance(value, str) for value in values.values()):
        return False
    request = target.request(stack, {k: str(v) for k, v in values.items()}, bucket=facts.bucket)
    return is_recorded(target, facts, stack, request.digest)


def await_others(ports: Ports, busy: Mapping[str, StackState], if_busy: IfBusy) -> None:
    """Wait for operations that someone else has started, showing their events with ATTACH; refuse with FAIL."""
    if if_busy is IfBusy.FAIL:
        stack, state = next(iter(busy.items()))
        raise Refused(
            f"stack {stack} is {row_of(state.status).meaning} ({state.status})",
            hint="run the same command when it has ended, or with --if-busy wait",
        )
    for stack, state in busy.items():
        ports.progress(Said(f"stack {stack} is {row_of(state.status).meaning}: waiting for it"))
        is_shown = if_busy is IfBusy.ATTACH
        follow = follower(ports.cloud, ports.progress, stack, state.stack_id) if is_shown else _silently
        await_stack(ports.cloud, state.stack_id, ports.pauses, on_poll=follow)


def _silently() -> None:
    pass
