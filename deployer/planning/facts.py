"""The state before any decision: the stacks, the ledger's record of them, and whether the two agree.
Only reads; what follows from the facts is decided in planner.py and readiness.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deployer.cloudformation.outputs import artifacts_bucket
from deployer.cloudformation.port import Cloud, StackState, describe_all
from deployer.cloudformation.statuses import Handling, row_of
from deployer.ledger.ledger import Current, Ledger, StackRecord
from deployer.ledger.store import RecordStore
from deployer.release.target import Target

_READS_OUTSIDE = ("AWS::SSM::Parameter::Value", "{{resolve:", "AWS::Include")  # may change without a changed template


@dataclass(frozen=True)
class PlanFacts:
    """What was read before anything is decided."""

    states: Mapping[str, StackState | None]
    current: Current | None = None
    bucket: str | None = None
    own: Mapping[str, StackRecord] = field(default_factory=dict)  # what this very run has just deployed

    def record(self, stack: str) -> StackRecord | None:
        return self.own.get(stack) or (self.current.stacks.get(stack) if self.current else None)

    @property
    def busy(self) -> dict[str, StackState]:
        """Stacks that are being changed at this moment."""
        return {
            s: state for s, state in self.states.items() if state and row_of(state.status).handling is Handling.WAIT
        }


def facts_of(
    cloud: Cloud, open_store: Callable[[str], RecordStore], target: Target, own: Mapping[str, StackRecord]
) -> PlanFacts:
    """Return one DescribeStacks per stack, and one GET of the ledger when there is a bucket."""
    states = describe_all(cloud, target.stack_names)
    bucket = artifacts_bucket([states[target.artifacts_stack]])
    current = Ledger(open_store(bucket), target.environment.name).current() if bucket else None
    return PlanFacts(states, current, bucket, own)


def is_recorded(target: Target, facts: PlanFacts, stack: str, digest: str) -> bool:
    """Return whether the ledger proves that the stack is as this request leaves it. What reads values elsewhere is never proven."""
    record = facts.record(stack)
    body = target.templates[stack].body
    return bool(record and record.matches(facts.states[stack], digest)) and not any(
        text in body for text in _READS_OUTSIDE
    )
