"""When a smoke test is tried again: only an answer, right or wrong, is final. What the cloud did to us is tried again.

The test itself is smoke.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from deployer.ledger.verdict import Verdict

ATTEMPTS = 3
WARM_UP_SECONDS = 5.0  # doubles: a role or a partition may take a moment to be seen everywhere


def test_with_retries(
    test: Callable[[], Verdict],
    *,
    pause: Callable[[float], None],
    say: Callable[[str], None],
    left: Callable[[], float],
    attempts: int = ATTEMPTS,
) -> Verdict:
    """Run the test until it gives an answer, right or wrong. The last try's verdict is the verdict.

    `left` are the seconds until the deadline: what would only begin after it is not tried.
    """
    for attempt in range(1, attempts + 1):
        verdict, warm_up = replace(test(), attempts=attempt), WARM_UP_SECONDS * 2 ** (attempt - 1)
        if verdict.outcome.is_final or attempt == attempts or left() <= warm_up:
            return verdict
        say(f"smoke test: {verdict}; trying again")
        pause(warm_up)
    raise AssertionError("unreachable")
