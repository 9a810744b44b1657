"""When a smoke test is repeated: an answer, right or wrong, is final; a failure of the cloud is tried again.

A few times at once, and for minutes when a right is denied: what was deployed just now may not be known everywhere yet.
The test itself is smoke_test.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from deployer.lake.smoke.faults import speaks_of_rights
from deployer.ledger.verdict import SmokeOutcome, Verdict

ATTEMPTS = 3
WARM_UP_SECONDS = 5.0  # doubles: a partition may take a moment to be seen everywhere
# Changes of roles, policies and keys are seen everywhere in the end, which may be minutes.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
# https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency
RIGHTS_SECONDS = 300.0
RIGHTS_PAUSE_SECONDS = 30.0


def test_with_retries(
    test: Callable[[], Verdict],
    *,
    pause: Callable[[float], None],
    say: Callable[[str], None],
    left: Callable[[], float],
    attempts: int = ATTEMPTS,
    clock: Callable[[], float] = time.monotonic,
) -> Verdict:
    """Run the test until it gives an answer, right or wrong. The last try's verdict is the verdict.

    `left` are the seconds until the deadline: what would only begin after it is not tried.
    """
    started, attempt, warm_up = clock(), 0, WARM_UP_SECONDS
    while True:
        attempt += 1
        verdict = replace(test(), attempts=attempt)
        if verdict.outcome.is_final:
            return verdict
        is_denied = verdict.outcome is SmokeOutcome.INFRASTRUCTURE_ERROR and speaks_of_rights(verdict.message)
        waiting = min(warm_up, RIGHTS_PAUSE_SECONDS)
        is_over = clock() - started + waiting > RIGHTS_SECONDS if is_denied else attempt >= attempts
        if is_over or left() <= waiting:
            return verdict
        why = "; new permissions may take minutes to take effect, waiting for up to 5" if is_denied else ""
        say(f"smoke test: {verdict}{why}; trying again")
        pause(waiting)
        warm_up *= 2
