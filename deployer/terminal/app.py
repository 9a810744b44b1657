"""What a command receives from the command line: the project, sessions, and output.

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
        """Return the project of dataops.yml, read once. Raise ConfigError."""
        if self._project is None:
            from deployer.project.config import load_project  # imports yaml

            self._project = load_project(self.project_dir)
        return self._project

    def environment(self, name: str) -> Environment:
        """Return a declared environment. Raise UsageError with the known ones and the nearest."""
        environments = self.project().environments
        if name not in environments:
            meant = nearest(name, environments)
            hint = f"did you mean '{meant}'?" if meant else "environments are declared in dataops.yml"
            raise UsageError(f"unknown environment '{name}', known are {', '.join(environments)}", hint=hint)
        return environments[name]

    def connect(self, env_name: str, *, start_local: bool = True) -> Session:
        """Return a session of an environment; start the local cloud if the environment lives there."""
        session = self.connect_to(self.project(), self.environment(env_name), start_local=start_local)
        session.command = self.command
        return session

    def connect_to(self, project: Project, environment: Environment, *, start_local: bool) -> Session:
        """Return a session of an environment that dataops.yml need not declare."""
        from deployer.aws.session import connect  # imports boto3

        return connect(project, environment, start_local=start_local, say=self.say)

    def say(self, text: str) -> None:
        """Write progress to stderr."""
        write_talk(text)

    def emit(self, document: Mapping[str, Any], text: str) -> None:
        """Write the result to stdout: the document with ``--output json``, else the text. Once per run."""
        self.has_result = True
        if self.output == "json":
            write_result(document_text(self.command, document))
        else:
            write_lines(text)

    def confirm(self, question: str, *, yes: bool, hint: str = "use --yes to answer every question with yes") -> bool:
        """Ask, on stderr. `yes` answers; without it and without a terminal, UsageError with the hint."""
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(f"no terminal to answer: {question}", hint=hint)
        return click.confirm(question, err=True)

    def ask(self, question: str, *, answer: str, yes: bool) -> bool:
        """Ask for a word to be typed, for what cannot be undone; whether it was `answer`."""
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(f"no terminal to answer: {question}", hint="use --yes to answer every question with yes")
        return bool(click.prompt(question, err=True, default="", show_default=False) == answer)
