"""Compares the AWS calls that tests made with aws_calls.json, from which the policies are written."""

from __future__ import annotations

from collections.abc import Iterable

from call_record import NO_COMMAND

from deployer.security.iam_policy import COMMANDS, Role, load_calls

COMMAND_ROLES = {command: role for role, commands in COMMANDS.items() for command in commands}


def complaints(called: Iterable[tuple[str, str, str]], is_everything: bool) -> list[str]:
    """The calls that are not listed for the command's role; if all tests ran, also the listed calls that were not made."""
    made = sorted(called)
    found = [
        f"aws_calls.json: {command} calls {service} {operation}, which is not listed for its role"
        for command, service, operation in made
        if (service, operation) not in load_calls(Role.RESTORE if command == NO_COMMAND else COMMAND_ROLES[command])
    ]
    unmade = (
        load_calls(Role.RESTORE) - {(service, operation) for _, service, operation in made} if is_everything else set()
    )
    return found + [
        f"aws_calls.json: no test calls {service} {operation}, which is listed" for service, operation in sorted(unmade)
    ]
