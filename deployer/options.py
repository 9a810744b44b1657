"""Options and help texts that several commands share, and what completes them; light enough for completion.

What an option means is up to the command that takes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., Any])


def examples(*lines: str) -> str:
    """The epilog of a command's help: one line for each example, kept as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def declared_environments(text: str) -> list[str]:
    """The environments of a dataops.yml, by its indentation: a guess without YAML, good enough to complete a word."""
    section = re.search(r"^environments:[^\n]*\n((?:[ \t#][^\n]*\n?|\n)*)", text, re.MULTILINE)
    names = re.findall(r"^( +)([A-Za-z0-9_-]+):", section.group(1), re.MULTILINE) if section else []
    outermost = min((len(indent) for indent, _ in names), default=0)
    return [name for indent, name in names if len(indent) == outermost]


def complete_environment(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The environments that start with what is typed; none when there is no dataops.yml."""
    directory = ctx.find_root().params.get("project_dir") or Path()
    try:
        text = (directory / "dataops.yml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [CompletionItem(name) for name in declared_environments(text) if name.startswith(incomplete)]


def env_option(command: Command) -> Command:
    """``--env NAME``, passed as ``env_name``; App.environment checks the name."""
    return click.option(
        "--env",
        "env_name",
        required=True,
        metavar="NAME",
        shell_complete=complete_environment,
        help="An environment of dataops.yml.",
    )(command)


def timeout_option(command: Command) -> Command:
    """``--timeout SECONDS``, passed as ``timeout``: the deadline of the whole command, None for none."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Stop waiting after so long, whatever is waited for; the same command again goes on from there.",
    )(command)


def yes_option(command: Command) -> Command:
    """``--yes``: questions are answered with yes; for runs without a terminal."""
    return click.option("--yes", is_flag=True, help="Answer every question with yes.")(command)
