"""When a smoke test is tried again."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from deployer.lake.smoke import attempts
from deployer.ledger.verdict import SmokeOutcome, Verdict
from deployer.pauses import Interrupted

PASSED, WRONG, BROKEN, LATE = (Verdict(outcome, outcome.name) for outcome in SmokeOutcome)
BAD_MINUTE = Verdict(SmokeOutcome.INFRASTRUCTURE_ERROR, "S3 had a bad minute")
DENIED = Verdict(SmokeOutcome.INFRASTRUCTURE_ERROR, "job run jr_1 ended FAILED: ClientError: AccessDenied on PutObject")


class Tries:
    """Smoke tests that end one after the other as told."""

    def __init__(self, ends: Iterable[Verdict | Exception]) -> None:
        self._ends, self.count = iter(ends), 0
        self.said: list[str] = []
        self.pauses: list[float] = []
        self.left = math.inf
        self.now = 0.0

    def __call__(self) -> Verdict:
        self.count += 1
        end = next(self._ends)
        if isinstance(end, Exception):
            raise end
        return end

    def verdict(self) -> Verdict:
        return attempts.test_with_retries(
            self, pause=self.pause, say=self.said.append, left=lambda: self.left, clock=lambda: self.now
        )

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


CASES = [
    ((PASSED,), PASSED, 1, []),
    ((WRONG,), WRONG, 1, []),
    ((BROKEN, PASSED), PASSED, 2, [5.0]),
    ((LATE, WRONG), WRONG, 2, [5.0]),
    ((BAD_MINUTE, BROKEN, PASSED), PASSED, 3, [5.0, 10.0]),
    ((BROKEN, BROKEN, BAD_MINUTE, PASSED), BAD_MINUTE, 3, [5.0, 10.0]),
    ((LATE, LATE, LATE, PASSED), LATE, 3, [5.0, 10.0]),
]


@pytest.mark.parametrize(("ends", "last", "count", "pauses"), CASES)
def test_only_what_the_cloud_did_is_tried_again(
    ends: tuple[Verdict, ...], last: Verdict, count: int, pauses: list[float]
) -> None:
    """Given how each try ends, then an answer ends the test, anything else is tried three times with growing pauses."""
    tries = Tries(ends)
    verdict = tries.verdict()
    assert (verdict.outcome, verdict.message) == (last.outcome, last.message)
    assert (verdict.attempts, tries.count) == (count, count)
    assert tries.pauses == pauses
    assert len(tries.said) == count - 1
    assert verdict.passed == (last is PASSED)


@pytest.mark.parametrize(("left", "count"), [(0.0, 1), (5.0, 1), (5.1, 2), (10.1, 3)])
def test_nothing_is_tried_again_after_the_deadline(left: float, count: int) -> None:
    """Given the seconds that are left, then a try is made only when it begins before the deadline; the verdict stays."""
    tries = Tries((LATE, LATE, LATE))
    tries.left = left
    verdict = tries.verdict()
    assert (verdict.outcome, verdict.attempts) == (SmokeOutcome.TIMEOUT, count)


def test_new_rights_are_waited_for() -> None:
    """Given rights that AWS knows of after two minutes, then the test is tried until then, and it is said what for."""
    tries = Tries([DENIED] * 6 + [PASSED])
    assert tries.verdict().passed
    assert tries.pauses == [5.0, 10.0, 20.0, 30.0, 30.0, 30.0]
    assert "new permissions may take minutes to take effect" in tries.said[0]


def test_rights_that_never_come_end_the_test_after_minutes() -> None:
    """Given a right that nobody granted, then the tries end within five minutes, with the denial as the verdict."""
    tries = Tries([DENIED] * 99)
    verdict = tries.verdict()
    assert verdict.message == DENIED.message
    assert attempts.RIGHTS_SECONDS - attempts.RIGHTS_PAUSE_SECONDS < tries.now <= attempts.RIGHTS_SECONDS


def test_a_denial_in_a_bad_minute_counts_its_own_tries() -> None:
    """Given faults of other kinds after a denial, then they are not waited for longer than without it."""
    tries = Tries([DENIED, DENIED, BROKEN, PASSED])
    assert tries.verdict().outcome is BROKEN.outcome
    assert tries.count == 3


def test_each_new_try_says_why() -> None:
    tries = Tries((BAD_MINUTE, PASSED))
    tries.verdict()
    assert tries.said == ["smoke test: infrastructure error (S3 had a bad minute); trying again"]


def test_an_interruption_is_no_verdict() -> None:
    """Given Ctrl-C during a try, then nothing is tried again and nothing is recorded against the cloud."""
    tries = Tries((Interrupted("interrupted"), PASSED))
    with pytest.raises(Interrupted):
        tries.verdict()
    assert tries.count == 1
