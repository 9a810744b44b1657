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

from deployer.terminal.app import App
from deployer.terminal.output import show_log

Command = TypeVar("Command", bound=Callable[..., Any])


def examples(*lines: str) -> str:
    """Return the epilog of a command's help: each example on a line of its own, unchanged."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def declared_environments(text: str) -> list[str]:
    """Return the environments of a dataops.yml by its indentation: a guess without YAML, good enough to complete a word."""
    section = re.search(r"^environments:[^\n]*\n((?:[ \t#][^\n]*\n?|\n)*)", text, re.MULTILINE)
    names = re.findall(r"^( +)([A-Za-z0-9_-]+):", section.group(1), re.MULTILINE) if section else []
    outermost = min((len(indent) for indent, _ in names), default=0)
    return [name for indent, name in names if len(indent) == outermost]


def complete_environment(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the environments that start with the typed text; none without a dataops.yml."""
    try:
        text = (ctx.ensure_object(App).project_dir / "dataops.yml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [CompletionItem(name) for name in declared_environments(text) if name.startswith(incomplete)]


class GlobalOption(click.Option):
    """An option that every command takes in front of its name and behind it. It goes to App, not to the command.

    They are read from left to right: the later one wins, and each ``-v`` counts.
    """

    def __init__(self, *names: str, take: Callable[[App, Any], None], **attributes: Any) -> None:
        def callback(ctx: click.Context, _: click.Parameter, value: Any) -> None:
            if value:
                take(ctx.ensure_object(App), value)

        super().__init__(names, expose_value=False, is_eager=True, callback=callback, **attributes)


def global_options(*, project_dir_variable: str | None = None) -> list[click.Parameter]:
    """Return ``--project-dir``, ``--output`` and ``-v``. A variable replaces --project-dir if the option is not given."""
    return [
        GlobalOption(
            "--project-dir",
            take=_take_project_dir,
            type=click.Path(path_type=Path, file_okay=False),
            envvar=project_dir_variable,
            help="The directory of dataops.yml; default: the current one.",
        ),
        GlobalOption(
            "--output", take=_take_output, type=click.Choice(["text", "json"]), help="The format of the result."
        ),
        GlobalOption("-v", "--verbose", take=_take_verbose, count=True, help="Print more; twice: log every API call."),
    ]


def _take_project_dir(app: App, directory: Path) -> None:
    app.project_dir = directory


def _take_output(app: App, form: str) -> None:
    app.output = form


def _take_verbose(app: App, times: int) -> None:
    app.verbose += times
    show_log(app.verbose)


def add_global_options(command: click.Command) -> None:
    """Let a command, and those below it, take the global options as well."""
    if not any(isinstance(parameter, GlobalOption) for parameter in command.params):
        command.params += global_options()
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        add_global_options(below)


def env_option(command: Command) -> Command:
    """Add ``--env NAME``, passed as ``env_name``; App.environment checks the name."""
    return click.option(
        "--env",
        "env_name",
        required=True,
        metavar="NAME",
        shell_complete=complete_environment,
        help="An environment of dataops.yml.",
    )(command)


def timeout_option(command: Command) -> Command:
    """Add ``--timeout SECONDS``, passed as ``timeout``: the deadline of the whole command, None for none."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Stop waiting after this time, whatever the command waits for; run it again to continue from there.",
    )(command)


def yes_option(command: Command) -> Command:
    """Add ``--yes``, which answers questions with yes, for runs without a terminal."""
    return click.option("--yes", is_flag=True, help="Answer every question with yes.")(command)
