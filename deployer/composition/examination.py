"""The examination of an account, put together over a session: for `doctor`, and before a first deployment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deployer.account.checks import Check
from deployer.account.doctor import Patient, examine
from deployer.composition.environment import stack_states
from deployer.release.target import Target

if TYPE_CHECKING:
    from deployer.aws.session import Session


def examination(session: Session, target: Target) -> Callable[[], list[Check]]:
    """A function that looks at the account now."""
    return lambda: examine(Patient(target, stack_states(session), session.client, session.available_regions))
