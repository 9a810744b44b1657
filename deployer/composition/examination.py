"""The examination of an account, composed over a session: for `doctor`, and before a first deployment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deployer.account.checks import AccountCheck, warning
from deployer.account.doctor import Patient, examine
from deployer.composition.environment import stack_names, stack_states
from deployer.errors import Denied
from deployer.release.target import Target

if TYPE_CHECKING:
    from deployer.aws.session import Session


def examination(session: Session, target: Target) -> Callable[[], list[AccountCheck]]:
    """Return a function that checks the account as it is now."""

    def run() -> list[AccountCheck]:
        found = list[AccountCheck]()
        try:
            states = stack_states(session)
        except Denied as denied:  # nothing is known of the stacks: the questions are those of an empty account
            states = dict.fromkeys(stack_names(session))
            found.append(warning("stacks", f"could not be checked: {denied.message}", denied.hint or ""))
        return [*found, *examine(Patient(target, states, session.client, session.available_regions))]

    return run
