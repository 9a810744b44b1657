"""Every command that the pages show exists as it stands there, and tests carry it out: the same verb with the same options.

What was carried out is known after a run of the whole suite (tests/conftest.py); how it is compared is tested here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from call_record import VARIABLE
from call_record import read as read_calls
from command_record import read
from commands_in_pages import OTHERS, PAGES, Command, commands, never_run, parsed, program, shell_lines

from deployer import cli

COMMANDS = commands()


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_of_a_page_exists(command: Command) -> None:
    """Given a command that a page shows, when it is parsed, then dataops has its verb and its options."""
    verb, _ = parsed(command.arguments)
    assert verb.split()[0] in cli.COMMANDS


def test_the_commands_were_found() -> None:
    """Given the pages, when their commands are gathered, then those are among them that everybody types."""
    shown = {each.arguments[0] for each in COMMANDS}
    assert {"deploy", "promote", "rollback", "run", "report", "ingest", "statement"} <= shown and len(COMMANDS) > 60


def test_other_programs_are_known() -> None:
    """Given the pages' shell lines, when their programs are read, then each is dataops or has who runs it."""
    lines = (line for page in PAGES for line in shell_lines(page.read_text(encoding="utf-8")))
    assert {program(part) for line in lines for part in line.split(" && ")} <= {"dataops", *OTHERS}


SHOWN = Command("page.md", "dataops ingest --env uat --route api *.csv")


@pytest.mark.parametrize(
    ("done", "is_enough"),
    [
        (("ingest", {"--env", "--route", "-v"}), True),
        (("ingest", {"--env"}), False),
        (("run", {"--env", "--route"}), False),
        (("ingest", {"--route"}), True),
    ],
)
def test_a_command_is_run_with_its_options(done: tuple[str, set[str]], is_enough: bool) -> None:
    """Given what was carried out, when a page's command is compared with it, then one command line must have the verb and all options."""
    complaints = never_run([SHOWN], [(done[0], frozenset(done[1])), ("report", frozenset({"--route"}))])
    assert complaints == (
        [] if is_enough else [f"page.md: {SHOWN.line}: no test carries out dataops ingest --env --route"]
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("validate --strict", {("validate", frozenset({"--strict", "--project-dir"}))}),
        ("validate --junit /nowhere/x.xml", set()),
        ("show --env uat --help", set()),
        ("local status --output json", {("local status", frozenset({"--output", "--project-dir"}))}),
        ("local reset", set()),
        ("sample --nonsense", set()),
    ],
)
def test_what_a_program_carries_out_is_recorded(
    tmp_path: Path, arguments: str, expected: set[tuple[str, frozenset[str]]]
) -> None:
    """Given dataops in a process of its own, when it ends, then its verb and options are recorded, unless it was refused."""
    command = [Path(sys.executable).with_name("dataops"), "--project-dir", str(tmp_path), *arguments.split()]
    subprocess.run(command, env={**os.environ, VARIABLE: str(tmp_path)}, capture_output=True, check=False)
    assert read(tmp_path) == expected
    assert read_calls(tmp_path) == set()


INLINE = re.compile(r"(?<!`)`dataops ([a-z][^`]*)`(?!`)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_in_a_sentence_exists(page: Path) -> None:
    """Given a sentence that names a command, when its verb and options are looked up, then dataops has them."""
    for line in INLINE.findall(page.read_text(encoding="utf-8")):
        words = re.sub(r"[|,].*", "", line).split()
        command: click.Command | None = cli.cli
        context = click.Context(cli.cli)
        for word in list(words):
            if not isinstance(command, click.Group) or word.startswith("-"):
                break
            command = command.get_command(context, word)
            assert command is not None, line
        known = {option for each in command.params for option in each.opts} if command else set()
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known | {"--help"}, line
