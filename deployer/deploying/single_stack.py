"""Brings up one stack that belongs to no release: its change set, consent, execution, and the wait for its end.

A deployment of an environment is deployment.py's business.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deployer.cloudformation.failures import Ended, stack_failed
from deployer.cloudformation.port import AlreadyThere, ChangeSet, Cloud, StackRequest, StackState
from deployer.cloudformation.statuses import Handling, Outcome, row_of
from deployer.cloudformation.waiting import await_change_set, await_stack
from deployer.deploying.results import StackOutcome, StackResult
from deployer.errors import DataopsError
from deployer.pauses import Pauses
from deployer.project.templates import parse_template


def bring_up(
    cloud: Cloud,
    request: StackRequest,
    pauses: Pauses,
    *,
    approve: Callable[[ChangeSet], bool],
    say: Callable[[str], None],
) -> StackResult | None:
    """Create or update the stack; None when whoever was asked said no, and nothing is left of it then.

    Raise DataopsError with the cause when the change set or the stack fails.
    """
    state = cloud.describe(request.stack_name)
    creates = state is None or row_of(state.status).handling is Handling.CREATE
    name = f"dataops-{uuid.uuid4().hex}"
    with suppress(AlreadyThere):  # the answer to an earlier try was lost
        cloud.create_change_set(request, name=name, creates=creates)
    (made,) = [found for found, called in cloud.change_sets(request.stack_name) if called == name]
    change_set = await_change_set(cloud, made, pauses)
    if change_set.has_nothing_to_do:
        cloud.delete_change_set(made)
        return StackResult(request.stack, StackOutcome.UNCHANGED, state, request.digest)
    if change_set.status != "CREATE_COMPLETE":
        cloud.delete_change_set(made)
        raise DataopsError(f"its change set failed: {change_set.reason}", where=request.stack_name)
    if not approve(change_set):
        cloud.delete_change_set(made)
        if creates:
            cloud.delete_stack(request.stack_name, token=f"{name}-declined")
        return None
    with suppress(AlreadyThere):
        cloud.execute_change_set(made, token=name, creates=creates)
    return _ended(cloud, request, pauses, change_set, state, say)


def _ended(
    cloud: Cloud,
    request: StackRequest,
    pauses: Pauses,
    change_set: ChangeSet,
    state: StackState | None,
    say: Callable[[str], None],
) -> StackResult:
    before = state or StackState(request.stack_name, change_set.stack_id, "REVIEW_IN_PROGRESS")
    ended = await_stack(
        cloud,
        change_set.stack_id or request.stack_name,
        pauses,
        before=before,
        has_ended=lambda: cloud.change_set(change_set.change_set_id).execution_status.startswith("EXECUTE_"),
    )
    if ended is None or row_of(ended.status).outcome is not Outcome.SUCCEEDED:
        template = parse_template(request.body, Path(request.stack))
        raise stack_failed(cloud, Ended(request.stack, before.stack_id, ended, before), template, say)
    return StackResult(request.stack, StackOutcome.DONE, ended, request.digest)
