"""The verdict of a smoke test: one frozen value from the test to the ledger and its readers.

How it is reached is smoke.py's business, when it is tried again that of attempts.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Self

from deployer.errors import SmokeTestFailed
from deployer.refunds import RefundRow


class SmokeOutcome(Enum):
    """What a smoke test can end in; only WRONG_ANSWER speaks against the release. The values stand in the ledger."""

    PASS = "pass"
    WRONG_ANSWER = "wrong_answer"  # the release gave other rows than the answer, or none because its code failed
    INFRASTRUCTURE_ERROR = "infrastructure_error"  # no judgement about the release
    TIMEOUT = "timeout"

    @property
    def is_final(self) -> bool:
        """Whether the verdict is final: another try would end the same way."""
        return self in (SmokeOutcome.PASS, SmokeOutcome.WRONG_ANSWER)

    def __str__(self) -> str:
        return self.value.replace("_", " ")


@dataclass(frozen=True)
class Verdict:
    """The end of a smoke test."""

    outcome: SmokeOutcome  #: how it ended
    message: str  #: in one sentence
    attempts: int = 1  #: how many tries it took
    seconds: float = 0.0  #: how long the last one took
    bytes_scanned: int = 0  #: what Athena read
    differences: tuple[str, ...] = ()  #: what differs from the known answer, as lines for people
    rows: tuple[RefundRow, ...] = ()  #: the refund report of the side tables

    @property
    def passed(self) -> bool:
        """Whether the release may go on."""
        return self.outcome is SmokeOutcome.PASS

    @property
    def is_wrong(self) -> bool:
        """Whether the release was found wrong: the only reason to roll it back."""
        return self.outcome is SmokeOutcome.WRONG_ANSWER

    def __str__(self) -> str:
        return f"{self.outcome} ({self.message})" if self.message else str(self.outcome)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read a recorded verdict; one without an answer may have recorded neither rows nor differences."""
        return cls(
            outcome=SmokeOutcome(document["outcome"]),
            message=document["message"],
            attempts=document["attempts"],
            seconds=document["seconds"],
            bytes_scanned=document.get("bytes_scanned", 0),
            differences=tuple(document.get("differences", ())),
            rows=tuple(RefundRow(row["customer_id"], Decimal(row["total_refund"])) for row in document.get("rows", ())),
        )

    def error(self) -> SmokeTestFailed:
        """Return the error with which a command ends that got this verdict, unless it passed."""
        if self.is_wrong:
            return SmokeTestFailed(
                f"smoke test: wrong answer: {self.message}",
                hint="this release computes wrong refunds: dataops rollback, or deploy a corrected one",
            )
        return SmokeTestFailed(
            f"smoke test: {self.outcome}: {self.message}",
            hint="this is not the release's fault: run the same command again",
        )
