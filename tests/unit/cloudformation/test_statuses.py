"""The decision table of stack statuses."""

from __future__ import annotations

import botocore.session
import pytest

from deployer.cloudformation.port import StackState
from deployer.cloudformation.statuses import STATUSES, Handling, Outcome, row_of
from deployer.planning.plan import StepKind, kind_of

KINDS = {
    None: StepKind.CREATE,
    "CREATE_COMPLETE": StepKind.UPDATE,
    "CREATE_FAILED": StepKind.BLOCKED,
    "CREATE_IN_PROGRESS": StepKind.WAIT,
    "DELETE_COMPLETE": StepKind.CREATE,
    "DELETE_FAILED": StepKind.BLOCKED,
    "DELETE_IN_PROGRESS": StepKind.WAIT,
    "IMPORT_COMPLETE": StepKind.UPDATE,
    "IMPORT_IN_PROGRESS": StepKind.WAIT,
    "IMPORT_ROLLBACK_COMPLETE": StepKind.UPDATE,
    "IMPORT_ROLLBACK_FAILED": StepKind.BLOCKED,
    "IMPORT_ROLLBACK_IN_PROGRESS": StepKind.WAIT,
    "REVIEW_IN_PROGRESS": StepKind.CREATE,
    "ROLLBACK_COMPLETE": StepKind.BLOCKED,
    "ROLLBACK_FAILED": StepKind.BLOCKED,
    "ROLLBACK_IN_PROGRESS": StepKind.WAIT,
    "UPDATE_COMPLETE": StepKind.UPDATE,
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": StepKind.WAIT,
    "UPDATE_FAILED": StepKind.ROLL_BACK,
    "UPDATE_IN_PROGRESS": StepKind.WAIT,
    "UPDATE_ROLLBACK_COMPLETE": StepKind.UPDATE,
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": StepKind.WAIT,
    "UPDATE_ROLLBACK_FAILED": StepKind.CONTINUE_ROLLBACK,
    "SOMETHING_NEW": StepKind.BLOCKED,
}


def test_every_status_of_the_api_has_a_row() -> None:
    """The table and botocore's own list of statuses are the same."""
    api = botocore.session.get_session().get_service_model("cloudformation").shape_for("StackStatus").enum
    assert set(STATUSES) == set(api)


@pytest.mark.parametrize("status", KINDS, ids=str)
def test_each_status_asks_for_one_step(status: str | None) -> None:
    """A status leads to one step, and nothing is recreated unless it was asked for."""
    state = StackState("s", "arn", status) if status else None
    assert kind_of(state, may_recreate=False)[0] is KINDS[status]


def test_consent_turns_a_dead_end_into_a_recreation() -> None:
    """With --recreate exactly the statuses that can only be deleted are recreated."""
    recreated = {s for s in STATUSES if kind_of(StackState("s", "arn", s), may_recreate=True)[0] is StepKind.RECREATE}
    assert recreated == {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}


def test_a_rollback_is_never_a_success() -> None:
    """Whatever ends in a rollback has failed; what is blocked says its way out."""
    for status, row in STATUSES.items():
        if "ROLLBACK" in status or status.endswith("FAILED"):
            assert row.outcome is not Outcome.SUCCEEDED, status
        assert (row.outcome is Outcome.RUNNING) == status.endswith("IN_PROGRESS"), status
        if row.handling in (Handling.RECREATE, Handling.REFUSE, Handling.ROLL_BACK, Handling.CONTINUE_ROLLBACK):
            assert row.way_out, status
    assert row_of("SOMETHING_NEW").way_out == "upgrade dataops"
