"""The meaning of each stack status for dataops: one row per status of the CloudFormation API, decided nowhere else.
A row never deletes by itself: RECREATE happens only with the operator's `--recreate`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Handling(enum.Enum):
    """What deploy does with a stack that it finds in some status."""

    CREATE = "create"
    UPDATE = "update"
    WAIT = "wait"
    ROLL_BACK = "roll back"  # RollbackStack, then update
    CONTINUE_ROLLBACK = "continue rollback"  # ContinueUpdateRollback, then update
    RECREATE = "recreate"  # delete and create, only with consent
    REFUSE = "refuse"


class Outcome(enum.Enum):
    """What a status says about the operation that we wait for."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Row:
    """One status: how deploy handles it, how waiting reads it, and what to tell the operator."""

    handling: Handling
    outcome: Outcome
    meaning: str
    way_out: str = ""


_RUNNING, _OK, _BAD = Outcome.RUNNING, Outcome.SUCCEEDED, Outcome.FAILED

STATUSES: dict[str, Row] = {
    "CREATE_IN_PROGRESS": Row(Handling.WAIT, _RUNNING, "being created"),
    "CREATE_COMPLETE": Row(Handling.UPDATE, _OK, "created"),
    "CREATE_FAILED": Row(
        Handling.RECREATE,
        _BAD,
        "its creation failed with rollback disabled; the resources created so far still exist",
        "check what it contains, then deploy with --recreate STACK (rolls back, deletes the empty stack, creates it)",
    ),
    "ROLLBACK_IN_PROGRESS": Row(Handling.WAIT, _RUNNING, "a failed creation is being rolled back"),
    "ROLLBACK_COMPLETE": Row(
        Handling.RECREATE,
        _BAD,
        "its creation failed and was rolled back; CloudFormation can only delete it",
        "deploy with --recreate STACK",
    ),
    "ROLLBACK_FAILED": Row(
        Handling.RECREATE,
        _BAD,
        "its creation failed and so did the rollback; some resources still exist",
        "check what it contains, then deploy with --recreate STACK",
    ),
    "DELETE_IN_PROGRESS": Row(Handling.WAIT, _RUNNING, "being deleted"),
    "DELETE_COMPLETE": Row(Handling.CREATE, _OK, "deleted"),
    "DELETE_FAILED": Row(
        Handling.RECREATE,
        _BAD,
        "its deletion failed; some resources still exist",
        "remove what blocks the deletion, then deploy with --recreate STACK",
    ),
    "UPDATE_IN_PROGRESS": Row(Handling.WAIT, _RUNNING, "being updated"),
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": Row(Handling.WAIT, _RUNNING, "updated, old resources are being removed"),
    "UPDATE_COMPLETE": Row(Handling.UPDATE, _OK, "updated"),
    "UPDATE_FAILED": Row(
        Handling.ROLL_BACK,
        _BAD,
        "its update failed with rollback disabled",
        "deploy rolls it back to its last stable state first (RollbackStack)",
    ),
    "UPDATE_ROLLBACK_IN_PROGRESS": Row(Handling.WAIT, _RUNNING, "a failed update is being rolled back"),
    "UPDATE_ROLLBACK_FAILED": Row(
        Handling.CONTINUE_ROLLBACK,
        _BAD,
        "its update failed and so did the rollback",
        "remove the cause; deploy then continues the rollback (ContinueUpdateRollback)",
    ),
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": Row(
        Handling.WAIT, _RUNNING, "a failed update was rolled back, new resources are being removed"
    ),
    "UPDATE_ROLLBACK_COMPLETE": Row(Handling.UPDATE, _BAD, "its last update failed and was rolled back"),
    "REVIEW_IN_PROGRESS": Row(Handling.CREATE, _RUNNING, "only a change set was created, there are no resources"),
    "IMPORT_IN_PROGRESS": Row(Handling.WAIT, _RUNNING, "resources are being imported"),
    "IMPORT_COMPLETE": Row(Handling.UPDATE, _OK, "resources were imported"),
    "IMPORT_ROLLBACK_IN_PROGRESS": Row(Handling.WAIT, _RUNNING, "a failed import is being rolled back"),
    "IMPORT_ROLLBACK_FAILED": Row(
        Handling.REFUSE,
        _BAD,
        "an import failed and so did its rollback",
        "finish the import rollback in the CloudFormation console, then deploy again",
    ),
    "IMPORT_ROLLBACK_COMPLETE": Row(Handling.UPDATE, _BAD, "an import failed and was rolled back"),
}

_UNKNOWN = Row(Handling.REFUSE, _BAD, "a status unknown to this version", "upgrade dataops")


def row_of(status: str | None) -> Row:
    """Return the row of a status; None stands for a stack that does not exist."""
    return STATUSES["DELETE_COMPLETE"] if status is None else STATUSES.get(status, _UNKNOWN)
