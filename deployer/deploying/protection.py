"""Termination protection: the stacks that keep data cannot be deleted, where the environment asks for it.

It is turned on after a deployment; turning it off is left to people, for whom `destroy` says how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deployer.cloudformation.port import Cloud, StackState
from deployer.project.templates import Template
from deployer.release.target import Target


def unprotected_stacks(target: Target, states: Mapping[str, StackState | None]) -> dict[str, StackState]:
    """Return the stacks that should be protected and are not."""
    if not target.environment.termination_protection:
        return {}
    return {
        stack: state
        for stack, state in states.items()
        if state and not state.is_protected and _keeps_data(target.templates[stack])
    }


def protect_stacks(
    cloud: Cloud, target: Target, states: Mapping[str, StackState | None], say: Callable[[str], None]
) -> None:
    """Turn protection on where it ought to be."""
    for stack, state in unprotected_stacks(target, states).items():
        cloud.protect(state.stack_id)
        say(f"stack {stack} is now protected from deletion")


def _keeps_data(template: Template) -> bool:
    """Return whether the template retains something and is therefore worth protecting."""
    return any(str(resource.deletion_policy).startswith("Retain") for resource in template.resources.values())
