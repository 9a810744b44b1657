"""How stacks ended: one frozen result per stack, and the worst of them as the outcome of a run."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deployer.cloud import StackState
from deployer.errors import DataopsError
from deployer.ledger import StackRecord
from deployer.pauses import Interrupted


class StackOutcome(enum.Enum):
    """How one stack ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REFUSED = "refused"
    LEFT_RUNNING = "left running"
    NOT_STARTED = "not started"


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

    def document(self) -> dict[str, Any]:
        return {
            "stack": self.stack,
            "outcome": self.outcome.value,
            "seconds": round(self.seconds, 2),
            "status": self.state.status if self.state else None,
            "error": str(self.error) if self.error else None,
        }


def outcome_of(results: Iterable[StackResult]) -> str:
    """The worst of the stacks."""
    results = tuple(results)
    if any(isinstance(result.error, Interrupted) for result in results):
        return "interrupted"
    outcomes = {result.outcome for result in results}
    if StackOutcome.FAILED in outcomes:
        return "failed"
    return "refused" if StackOutcome.REFUSED in outcomes else "done"
