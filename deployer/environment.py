"""What an environment is, asked through a session: here adapters meet what is made of their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.aws import stack_outputs
from deployer.deployed_lake import Lake, lake_from

if TYPE_CHECKING:
    from deployer.session import Session


def lake_of(session: Session) -> Lake:
    """Return the deployed lake. Raises DataopsError when the environment is not deployed, or its stacks lack an output."""
    return lake_from(session.environment.name, stack_outputs(session), session.client)
