"""When a smoke test is tried again, and what its last verdict means for the release."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from deployer.errors import DataopsError
from deployer.smoke import SmokeOutcome, SmokeVerdict
from deployer.smoke_policy import INFRASTRUCTURE_ERROR, PASS, TIMEOUT, WRONG_ANSWER, SmokeResult, smoke
from deployer.waiting import Interrupted

PASSED, WRONG, BROKEN, LATE = (SmokeVerdict(outcome, outcome.name) for outcome in SmokeOutcome)
BAD_MINUTE = DataopsError("S3 had a bad minute")


class Tries:
    """Smoke tests that end one after the other as told."""

    def __init__(self, ends: Iterable[SmokeVerdict | DataopsError]) -> None:
        self._ends, self.count = iter(ends), 0
        self.said: list[str] = []
        self.pauses: list[float] = []
        self.left = math.inf

    def __call__(self) -> SmokeVerdict:
        self.count += 1
        end = next(self._ends)
        if isinstance(end, DataopsError):
            raise end
        return end

    def result(self) -> SmokeResult:
        return smoke(self, pause=self.pauses.append, say=self.said.append, left=lambda: self.left)


CASES = [
    ((PASSED,), PASS, 1, []),
    ((WRONG,), WRONG_ANSWER, 1, []),
    ((BROKEN, PASSED), PASS, 2, [5.0]),
    ((LATE, WRONG), WRONG_ANSWER, 2, [5.0]),
    ((BAD_MINUTE, BROKEN, PASSED), PASS, 3, [5.0, 10.0]),
    ((BROKEN, BROKEN, BAD_MINUTE, PASSED), INFRASTRUCTURE_ERROR, 3, [5.0, 10.0]),
    ((LATE, LATE, LATE, PASSED), TIMEOUT, 3, [5.0, 10.0]),
]


@pytest.mark.parametrize(("ends", "outcome", "attempts", "pauses"), CASES)
def test_only_what_the_cloud_did_is_tried_again(
    ends: tuple[SmokeVerdict | DataopsError, ...], outcome: str, attempts: int, pauses: list[float]
) -> None:
    """Given how each try ends, then an answer ends the test, anything else is tried three times with growing pauses."""
    tries = Tries(ends)
    result = tries.result()
    assert (result.outcome, result.attempts, tries.count) == (outcome, attempts, attempts)
    assert tries.pauses == pauses
    assert len(tries.said) == attempts - 1
    assert result.passed == (outcome == PASS)


@pytest.mark.parametrize(("left", "attempts"), [(0.0, 1), (5.0, 1), (5.1, 2), (10.1, 3)])
def test_nothing_is_tried_again_after_the_deadline(left: float, attempts: int) -> None:
    """Given the seconds that are left, then a try is made only when it begins before the deadline; the verdict stays."""
    tries = Tries((LATE, LATE, LATE))
    tries.left = left
    result = tries.result()
    assert (result.outcome, result.attempts) == (TIMEOUT, attempts)


def test_each_new_try_says_why() -> None:
    tries = Tries((BAD_MINUTE, PASSED))
    tries.result()
    assert tries.said == ["smoke test: infrastructure error (S3 had a bad minute); trying again"]


def test_an_interruption_is_no_verdict() -> None:
    """Given Ctrl-C during a try, then nothing is tried again and nothing is recorded against the cloud."""
    tries = Tries((Interrupted("interrupted"), PASSED))
    with pytest.raises(Interrupted):
        tries.result()
    assert tries.count == 1


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (WRONG_ANSWER, "dataops rollback"),
        (INFRASTRUCTURE_ERROR, "run the same command again"),
        (TIMEOUT, "run the same"),
    ],
)
def test_the_error_says_what_to_do(outcome: str, words: str) -> None:
    """Given a verdict, then only a wrong answer speaks of the release; the others say nothing about it."""
    error = SmokeResult(outcome, "m", 1, 0.0, {}).error()
    assert error.exit_code == 4
    assert words in str(error.hint)
