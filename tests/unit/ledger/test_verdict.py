"""The verdict of a smoke test: what it says of a release, and that the ledger keeps it whole."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from deployer.documents import as_document
from deployer.ledger.verdict import SmokeOutcome, Verdict
from deployer.refunds import RefundRow

ROWS = (RefundRow("anna", Decimal("50.25")), RefundRow("zoë", Decimal("3.30")))
WRONG = Verdict(
    SmokeOutcome.WRONG_ANSWER, "not equal", attempts=2, seconds=1.25, bytes_scanned=7, differences=("a",), rows=ROWS
)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (SmokeOutcome.WRONG_ANSWER, "dataops rollback"),
        (SmokeOutcome.INFRASTRUCTURE_ERROR, "run the same command again"),
        (SmokeOutcome.TIMEOUT, "run the same"),
    ],
)
def test_the_error_says_what_to_do(outcome: SmokeOutcome, words: str) -> None:
    """Given a verdict, then only a wrong answer speaks of the release; the others say nothing about it."""
    error = Verdict(outcome, "m").error()
    assert error.exit_code == 4
    assert words in str(error.hint)
    assert ("this release computes wrong refunds" in str(error.hint)) == (outcome is SmokeOutcome.WRONG_ANSWER)


def test_the_ledger_keeps_every_part_of_it() -> None:
    """Given a verdict, when it is written and read, then it is the same one, under the names that it always had."""
    document = json.loads(json.dumps(as_document(WRONG)))
    assert Verdict.from_document(document) == WRONG
    assert document == {
        "outcome": "wrong_answer",
        "message": "not equal",
        "attempts": 2,
        "seconds": 1.25,
        "bytes_scanned": 7,
        "differences": ["a"],
        "rows": [
            {"customer_id": "anna", "total_refund": "50.25"},
            {"customer_id": "zoë", "total_refund": "3.30"},
        ],
    }


def test_a_short_record_of_an_earlier_dataops_is_read() -> None:
    """Given a verdict that was recorded without rows, when it is read, then they are none."""
    recorded = {"outcome": "infrastructure_error", "message": "no answer", "attempts": 3, "seconds": 0.0}
    assert Verdict.from_document(recorded) == Verdict(SmokeOutcome.INFRASTRUCTURE_ERROR, "no answer", attempts=3)
