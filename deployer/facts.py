"""What is there before anything is decided: the stacks, the ledger's record of them, and whether the two agree.
Only reads; what follows from the facts is decided in planner.py and deployment.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.cloud import StackState, describe_all
from deployer.errors import Refused
from deployer.events import Said
from deployer.ledger import Current, Ledger, StackRecord
from deployer.request import DeployRequest, Ports
from deployer.stack_change import follower
from deployer.statuses import Handling, row_of
from deployer.target import ARTIFACTS_BUCKET_OUTPUT, Target
from deployer.waiting import await_stack

_READS_OUTSIDE = ("AWS::SSM::Parameter::Value", "{{resolve:", "AWS::Include")  # may change without a changed template


@dataclass(frozen=True)
class Facts:
    """What was read before anything is decided."""

    states: Mapping[str, StackState | None]
    current: Current | None = None
    bucket: str | None = None
    own: Mapping[str, StackRecord] = field(default_factory=dict)  # what this very run has just deployed

    def record(self, stack: str) -> StackRecord | None:
        return self.own.get(stack) or (self.current.stacks.get(stack) if self.current else None)

    @property
    def busy(self) -> dict[str, StackState]:
        """Stacks that somebody is changing at this moment."""
        return {
            s: state for s, state in self.states.items() if state and row_of(state.status).handling is Handling.WAIT
        }


def facts_of(ports: Ports, target: Target, own: Mapping[str, StackRecord]) -> Facts:
    """One DescribeStacks per stack, and one GET of the ledger when there is a bucket."""
    states = describe_all(ports.cloud, target.stack_names)
    artifacts = states[target.artifacts_stack]
    bucket = artifacts.outputs.get(ARTIFACTS_BUCKET_OUTPUT) if artifacts else None
    current = Ledger(ports.open_store(bucket), target.environment.name).current() if bucket else None
    return Facts(states, current, bucket, own)


def is_recorded(target: Target, facts: Facts, stack: str, digest: str) -> bool:
    """Whether the ledger proves that the stack is as this request leaves it. What reads values elsewhere is never proven."""
    record = facts.record(stack)
    body = target.templates[stack].body
    return bool(record and record.matches(facts.states[stack], digest)) and not any(
        text in body for text in _READS_OUTSIDE
    )


def is_done(target: Target, facts: Facts, request: DeployRequest, *, with_smoke: bool) -> bool:
    """Whether the ledger proves that this release is deployed, untouched since, and passed where a test is asked for."""
    current = facts.current
    if current is None or current.release != target.release.id or current.outcome != "done":
        return False
    is_untested = current.smoke is None or not current.smoke.passed
    if request.saved_plan is not None or request.options.revert_drift or (with_smoke and is_untested):
        return False
    outputs = {stack: state.outputs for stack, state in facts.states.items() if state}
    return all(_is_as_recorded(target, facts, stack, outputs) for stack in target.templates)


def _is_as_recorded(target: Target, facts: Facts, stack: str, outputs: Mapping[str, Mapping[str, str]]) -> bool:
    values = target.values(stack, outputs)
    if not all(isinstance(value, str) for value in values.values()):
        return False
    request = target.request(stack, {k: str(v) for k, v in values.items()}, bucket=facts.bucket)
    return is_recorded(target, facts, stack, request.digest)


def await_others(ports: Ports, busy: Mapping[str, StackState], if_busy: str) -> None:
    """Wait for operations that somebody else has started, showing their events with `attach`; refused with `fail`."""
    if if_busy == "fail":
        stack, state = next(iter(busy.items()))
        raise Refused(
            f"stack {stack} is {row_of(state.status).meaning} ({state.status})",
            hint="run the same command when it has ended, or with --if-busy wait",
        )
    for stack, state in busy.items():
        ports.progress(Said(f"stack {stack} is {row_of(state.status).meaning}: waiting for it"))
        follow = follower(ports.cloud, ports.progress, stack, state.stack_id) if if_busy == "attach" else _silently
        await_stack(ports.cloud, state.stack_id, ports.pauses, on_poll=follow)


def _silently() -> None:
    pass
