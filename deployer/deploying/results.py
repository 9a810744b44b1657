"""How stacks and their deployment ended: one frozen result per stack, the worst of them as the outcome of the whole."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deployer.cloudformation.port import StackState
from deployer.errors import DataopsError
from deployer.ledger.ledger import StackRecord
from deployer.ledger.verdict import Verdict
from deployer.pauses import Interrupted
from deployer.planning.plan import Plan


class StackOutcome(enum.Enum):
    """How one stack ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REFUSED = "refused"
    LEFT_RUNNING = "left running"
    NOT_STARTED = "not started"


@dataclass(frozen=True)
class StackDocument:
    """One stack after the run, in JSON."""

    stack: str  #: its name in dataops.yml
    outcome: StackOutcome  #: what happened to the stack
    seconds: float  #: how long it took
    status: str | None  #: CloudFormation's status
    error: str | None  #: why it failed or was refused


@dataclass(frozen=True)
class StackResult:
    """One stack after the run; `error` is why it failed or was refused."""

    stack: str
    outcome: StackOutcome
    state: StackState | None = None
    digest: str = ""
    seconds: float = 0.0
    error: DataopsError | None = None

    @property
    def record(self) -> StackRecord | None:
        """What the ledger keeps of it."""
        if not self.is_good or self.state is None:
            return None
        return StackRecord(self.state.stack_id, self.state.status, self.state.last_updated, self.digest)

    @property
    def is_good(self) -> bool:
        return self.outcome in (StackOutcome.DONE, StackOutcome.UNCHANGED)

    def document(self) -> StackDocument:
        return StackDocument(
            stack=self.stack,
            outcome=self.outcome,
            seconds=round(self.seconds, 2),
            status=self.state.status if self.state else None,
            error=str(self.error) if self.error else None,
        )


class DeployOutcome(enum.Enum):
    """How a deployment ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REFUSED = "refused"
    DECLINED = "declined"
    INTERRUPTED = "interrupted"
    SMOKE_FAILED = "smoke-failed"


@dataclass(frozen=True)
class DeployDocument:
    """A deployment after its end, as it is printed and kept in the ledger."""

    environment: str  #: the environment
    release: str  #: the release's id
    outcome: DeployOutcome  #: how it ended
    run: str  #: the run's id in the ledger
    stacks: tuple[StackResult, ...]  #: each stack, in the order of the plan; empty if it was not carried out
    smoke: Verdict | None  #: the verdict of the smoke test, the recorded one if nothing changed; null if there is none
    uploaded_bytes: int  #: size of the artifacts that had to be uploaded
    seconds: float  #: how long it took
    error: str | None  #: the first failure


@dataclass(frozen=True)
class DeployResult:
    """A deployment after its end; `interruption` is what broke it off."""

    environment: str
    release: str
    outcome: DeployOutcome
    run: str = ""
    plan: Plan | None = None
    stacks: tuple[StackResult, ...] = ()
    smoke: Verdict | None = None
    uploaded_bytes: int = 0
    seconds: float = 0.0
    outputs: Mapping[str, str] = field(default_factory=dict)
    interruption: Interrupted | None = None

    @property
    def error(self) -> DataopsError | None:
        """The first failure."""
        return next((stack.error for stack in self.stacks if stack.error is not None), None)

    @property
    def left_running(self) -> tuple[str, ...]:
        """Stacks that CloudFormation is still changing."""
        return tuple(stack.stack for stack in self.stacks if stack.outcome is StackOutcome.LEFT_RUNNING)

    def document(self) -> DeployDocument:
        return DeployDocument(
            environment=self.environment,
            release=self.release,
            outcome=self.outcome,
            run=self.run,
            stacks=self.stacks,
            smoke=self.smoke,
            uploaded_bytes=self.uploaded_bytes,
            seconds=round(self.seconds, 2),
            error=str(self.error) if self.error else None,
        )


def interruption_of(stacks: Iterable[StackResult]) -> Interrupted | None:
    """Return what interrupted the work on the stacks, if anything did."""
    return next((stack.error for stack in stacks if isinstance(stack.error, Interrupted)), None)


def outcome_of(stacks: Iterable[StackResult]) -> DeployOutcome:
    """Return the worst of the stacks."""
    stacks = tuple(stacks)
    outcomes = {stack.outcome for stack in stacks}
    if interruption_of(stacks):
        return DeployOutcome.INTERRUPTED
    if StackOutcome.FAILED in outcomes:
        return DeployOutcome.FAILED
    return DeployOutcome.REFUSED if StackOutcome.REFUSED in outcomes else DeployOutcome.DONE
