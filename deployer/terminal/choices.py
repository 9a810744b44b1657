"""The options of every command that changes stacks, and the operator's choices as one value.

What a choice means for a deployment is request.py's business.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import click

from deployer.deploying.request import IfBusy
from deployer.terminal.options import timeout_option, yes_option


class OnSmokeFailure(enum.Enum):
    """What to do after a wrong answer."""

    LEAVE = "leave"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Choices:
    """What the operator allows and wants besides. `timeout_seconds` is None without a time limit."""

    yes: bool
    no_smoke: bool
    on_smoke_failure: OnSmokeFailure
    allow_replace: frozenset[str]
    recreate: frozenset[str]
    lock_timeout_seconds: float
    timeout_seconds: float | None
    if_busy: IfBusy
    events: bool


def guard_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of every command that changes stacks, passed as one `choices`."""

    @functools.wraps(command)
    def with_choices(
        *arguments: Any,
        yes: bool,
        no_smoke: bool,
        on_smoke_failure: str,
        allow_replace: tuple[str, ...],
        recreate: tuple[str, ...],
        lock_timeout: float,
        timeout: float | None,
        if_busy: str,
        events: bool,
        **others: Any,
    ) -> int:
        choices = Choices(
            yes=yes,
            no_smoke=no_smoke,
            on_smoke_failure=OnSmokeFailure(on_smoke_failure),
            allow_replace=frozenset(allow_replace),
            recreate=frozenset(recreate),
            lock_timeout_seconds=lock_timeout,
            timeout_seconds=timeout,
            if_busy=IfBusy(if_busy),
            events=events,
        )
        return command(*arguments, choices=choices, **others)

    return functools.reduce(lambda wrapped, option: option(wrapped), _OPTIONS, cast(Callable[..., int], with_choices))


_OPTIONS: tuple[Callable[[Callable[..., int]], Callable[..., int]], ...] = (
    yes_option,
    click.option("--no-smoke", is_flag=True, help="Skip the smoke test; the release cannot be promoted."),
    click.option(
        "--on-smoke-failure",
        type=click.Choice([choice.value for choice in OnSmokeFailure]),
        default=OnSmokeFailure.LEAVE.value,
        show_default=True,
        help="What to do after a wrong answer.",
    ),
    click.option(
        "--allow-replace",
        multiple=True,
        metavar="LOGICAL_ID",
        help="Allow this data-holding resource to be replaced or removed; may be repeated.",
    ),
    click.option(
        "--recreate",
        multiple=True,
        metavar="STACK",
        help="Delete this stack and create it again if its creation failed; may be repeated.",
    ),
    click.option(
        "--lock-timeout",
        type=click.FloatRange(min=0),
        default=0.0,
        metavar="SECONDS",
        help="Wait this long for the environment's lock.",
    ),
    timeout_option,
    click.option(
        "--if-busy",
        type=click.Choice([choice.value for choice in IfBusy]),
        default=IfBusy.ATTACH.value,
        show_default=True,
        help="What to do when a stack is already being changed.",
    ),
    click.option("--events", is_flag=True, help="Print one JSON object per event and one for the result (ndjson)."),
)

revert_drift_option = click.option(
    "--revert-drift",
    is_flag=True,
    help="Revert changes made by hand; the plan shows them. No stack is skipped.",
)
