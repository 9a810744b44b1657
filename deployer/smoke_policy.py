"""What a smoke test's verdict means for a release: only a wrong answer counts against it; what AWS did to us is tried again.
The test itself is smoke.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployer.errors import ConfigError, DataopsError, SmokeTestFailed
from deployer.waiting import Interrupted

if TYPE_CHECKING:
    from deployer.smoke import SmokeVerdict

ATTEMPTS = 3
WARM_UP_SECONDS = 5.0  # doubles: a role or a partition may take a moment to be seen everywhere
PASS, WRONG_ANSWER, INFRASTRUCTURE_ERROR, TIMEOUT = "pass", "wrong_answer", "infrastructure_error", "timeout"


@dataclass(frozen=True)
class SmokeResult:
    """A verdict as it is recorded; `attempts` counts the tries that it took."""

    outcome: str
    message: str
    attempts: int
    seconds: float
    details: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        return self.outcome == PASS

    def document(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "message": self.message,
            "attempts": self.attempts,
            "seconds": round(self.seconds, 2),
            **self.details,
        }

    def error(self) -> SmokeTestFailed:
        if self.outcome == WRONG_ANSWER:
            return SmokeTestFailed(
                f"smoke test: wrong answer: {self.message}",
                hint="this release computes wrong refunds: dataops rollback, or deploy a corrected one",
            )
        return SmokeTestFailed(
            f"smoke test: {self.outcome.replace('_', ' ')}: {self.message}",
            hint="this says nothing about the release: run the same command again",
        )


def is_pass(recorded: Mapping[str, Any] | None) -> bool:
    return recorded is not None and recorded.get("outcome") == PASS


def smoke(
    run: Callable[[], SmokeVerdict],
    *,
    pause: Callable[[float], None],
    say: Callable[[str], None],
    left: Callable[[], float],
    attempts: int = ATTEMPTS,
) -> SmokeResult:
    """Run the test until it gives an answer, right or wrong. The last try's verdict is the verdict.

    `left` are the seconds until the deadline: what would only begin after it is not tried.
    """
    for attempt in range(1, attempts + 1):
        result, warm_up = _once(run, attempt), WARM_UP_SECONDS * 2 ** (attempt - 1)
        if result.outcome in (PASS, WRONG_ANSWER) or attempt == attempts or left() <= warm_up:
            return result
        say(f"smoke test: {result.outcome.replace('_', ' ')} ({result.message}); trying again")
        pause(warm_up)
    raise AssertionError("unreachable")


def _once(run: Callable[[], SmokeVerdict], attempt: int) -> SmokeResult:
    try:
        verdict = run()
    except (Interrupted, ConfigError):
        raise
    except DataopsError as error:
        return SmokeResult(INFRASTRUCTURE_ERROR, str(error), attempt, 0.0, {})
    details = {
        "bytes_scanned": verdict.bytes_scanned,
        "differences": list(verdict.differences),
        "rows": [row.document() for row in verdict.rows],
    }
    return SmokeResult(verdict.outcome.name.lower(), verdict.message, attempt, verdict.duration_seconds, details)
