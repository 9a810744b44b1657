"""What a command gets from the command line: the project, sessions, and how to speak.

The command line itself is cli.py's business.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployer.errors import UsageError
from deployer.nearest import nearest
from deployer.terminal.output import document_text, write_lines, write_result, write_talk

if TYPE_CHECKING:
    from deployer.aws.session import Session
    from deployer.project.config import Environment, Project


@dataclass
class App:
    """One run of dataops. `output` is "text" or "json"; `command` is what runs, as in ``deploy``."""

    project_dir: Path = Path()
    output: str = "text"
    verbose: int = 0
    command: str = ""
    has_result: bool = False
    _project: Project | None = None

    def project(self) -> Project:
        """The project of dataops.yml, read once. Raises ConfigError."""
        if self._project is None:
            from deployer.project.config import load_project  # imports yaml

            self._project = load_project(self.project_dir)
        return self._project

    def environment(self, name: str) -> Environment:
        """A declared environment. Raises UsageError naming the known ones and the nearest."""
        environments = self.project().environments
        if name not in environments:
            meant = nearest(name, environments)
            hint = f"did you mean '{meant}'?" if meant else "environments are declared in dataops.yml"
            raise UsageError(f"unknown environment '{name}', there are {', '.join(environments)}", hint=hint)
        return environments[name]

    def connect(self, env_name: str, *, start_local: bool = True) -> Session:
        """A session of an environment; the local cloud starts when the environment lives there."""
        environment = self.environment(env_name)
        from deployer.aws.session import connect  # imports boto3

        session = connect(self.project(), environment, start_local=start_local, say=self.say)
        session.command = self.command
        return session

    def say(self, text: str) -> None:
        """Progress, on stderr."""
        write_talk(text)

    def emit(self, document: Mapping[str, Any], text: str) -> None:
        """The result, on stdout: the document with ``--output json``, else the text. Once in a run."""
        self.has_result = True
        if self.output == "json":
            write_result(document_text(self.command, document))
        else:
            write_lines(text)

    def confirm(self, question: str, *, yes: bool, hint: str = "--yes answers every question with yes") -> bool:
        """Ask, on stderr. `yes` answers; without it and without a terminal, UsageError with the hint."""
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(f"nobody is here to answer: {question}", hint=hint)
        return click.confirm(question, err=True)

    def ask(self, question: str, *, answer: str, yes: bool) -> bool:
        """Ask for a word to be typed, for what cannot be undone; whether it was `answer`."""
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(f"nobody is here to answer: {question}", hint="--yes answers every question with yes")
        return bool(click.prompt(question, err=True, default="", show_default=False) == answer)
