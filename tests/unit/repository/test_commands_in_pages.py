"""Every command that the pages show exists as it stands there, and a test runs it: the same verb with the same options.

A test runs a command where its code hands verb and options over, where it executes a page's own text, or where it executes
the pipeline.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import pytest
from pipeline import ROLLBACK, scripts
from repository import ROOT

from deployer import cli

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted((ROOT / "docs").rglob("*.md"))
# Pages whose shell commands a test takes from their own text.
EXECUTED = {"docs/start.md": "tests/local/test_wheel.py", "CONTRIBUTING.md": "tests/local/test_new_column.py"}
# Other programs in the pages' shell lines, and who runs them.
OTHERS = {
    "python3": ".ci/run takes both lines of the README from its text, and the wheel's test installs as the pages do",
    "python3.11": "an environment with the oldest pyarrow, for whoever changes the reading",
    "source": "the shell's own",
    "cd": "the shell's own",
    "pip": "tests/local/test_wheel.py builds and installs the wheel",
    "pytest": "the suite itself",
    "ruff": "tests/unit/repository/test_style.py",
    "mypy": "tests/unit/repository/test_style.py",
    "pre-commit": "tests/unit/repository/test_pre_commit.py",
    "npm": "the pipeline's step; the page's accessibility is judged where axe-core is installed",
    "ssh-keygen": "tests/local/test_sftp.py makes its keys with asyncssh",
    "aws": "needs an account, or a program that this project does not install",
    "git": "makes a version; no test may",
}
EVERYWHERE = {"--env", "--yes", "--output", "--project-dir"}  # of (nearly) every command, and tested as such


@dataclass(frozen=True)
class Command:
    """A command as a page shows it."""

    page: str
    line: str

    @property
    def arguments(self) -> tuple[str, ...]:
        """What click gets: without comments, redirections and pipes."""
        words = shlex.split(re.split(r"\s(?:>|<|\||&&)\s", self.line)[0], comments=True)
        return tuple(words[1:])

    def __str__(self) -> str:
        return f"{self.page}: {self.line}"


def program(line: str) -> str:
    """What a line runs, without its folder and the variables before it."""
    return next(word for word in line.split() if "=" not in word).rpartition("/")[2]


def shell_lines(text: str) -> Iterator[str]:
    """The commands of a page's blocks: behind `$ ` where a block has output, else every line of a block without a language."""
    for _, language, body in re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
        lines = [line.strip() for line in body.replace("\\\n", " ").splitlines()]
        prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        if prompted or language == "bash":
            yield from prompted or filter(None, lines)
        elif not language:
            yield from (line for line in lines if line and program(line) in {"dataops", *OTHERS})


def commands() -> list[Command]:
    """Every dataops command in the pages' blocks."""
    found = []
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        for line in shell_lines(page.read_text(encoding="utf-8")):
            found += [Command(name, part) for part in line.split(" && ") if program(part) == "dataops"]
    return found


COMMANDS = commands()


def parsed(arguments: tuple[str, ...]) -> tuple[str, frozenset[str]]:
    """The verb and the names of the options given; click raises for what it does not know."""
    context = cli.cli.make_context("dataops", list(arguments), resilient_parsing=False)
    options, words = _given(context), []
    command: click.Command | None = cli.cli
    rest = [*context._protected_args, *context.args]
    while isinstance(command, click.Group) and rest:
        command = command.get_command(context, rest[0])
        assert command is not None, f"there is no dataops {' '.join([*words, rest[0]])}"
        words.append(rest[0])
        context = command.make_context(rest[0], rest[1:], parent=context)
        options |= _given(context)
        rest = [*context._protected_args, *context.args] if isinstance(command, click.Group) else []
    return " ".join(words), options


def _given(context: click.Context) -> frozenset[str]:
    """The options that stand there; of flags that choose one value, the chosen one."""
    is_given = click.core.ParameterSource.COMMANDLINE
    return frozenset(
        max(parameter.opts, key=len)
        for parameter in context.command.params
        if isinstance(parameter, click.Option)
        and context.get_parameter_source(parameter.name or "") is is_given
        and (not parameter.is_flag or context.params.get(parameter.name or "", True) in (True, parameter.flag_value))
    )


def _calls_of(file: Path) -> Iterator[frozenset[str]]:
    """The words of each call, list and tuple of a test file; a name stands for what the file assigns to it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assigned: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Tuple | ast.Constant):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    assigned.setdefault(target.id, set()).update(_words(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call | ast.List | ast.Tuple):
            names = (each.id for each in ast.walk(node) if isinstance(each, ast.Name))
            yield frozenset(_words(node).union(*(assigned.get(name, ()) for name in names)))


def _words(node: ast.AST) -> set[str]:
    constants = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    return {word for value in constants if isinstance(value, str) for word in value.split()}


@cache
def run_by_tests() -> frozenset[frozenset[str]]:
    """The words of each command that some test, or the pipeline that a test executes, hands to a program."""
    found = [words for file in (ROOT / "tests").rglob("*.py") for words in _calls_of(file)]
    steps = [*scripts(), *scripts(ROLLBACK)]
    found += [frozenset(line.split()) for step in steps for line in step.script.splitlines() if "dataops" in line]
    found += [frozenset(each.arguments) for each in COMMANDS if each.page in EXECUTED]
    return frozenset(found)


@pytest.mark.parametrize("command", sorted({each.arguments: each for each in COMMANDS}.values(), key=str), ids=str)
def test_a_command_of_a_page_is_run_by_a_test(command: Command) -> None:
    """Given a command that a page shows, when tests are read, then it parses, and one of them runs that verb with its options."""
    verb, options = parsed(command.arguments)
    wanted = {*verb.split(), *(options - EVERYWHERE)}
    assert any(wanted <= words for words in run_by_tests()), f"no test runs {verb} with {sorted(options)}"


def test_the_commands_were_found() -> None:
    """Given the pages, when their commands are gathered, then those are among them that everybody types."""
    shown = {each.arguments[0] for each in COMMANDS}
    assert {"deploy", "promote", "rollback", "run", "report", "ingest", "statement"} <= shown and len(COMMANDS) > 60


def test_other_programs_are_known() -> None:
    """Given the pages' shell lines, when their programs are read, then each is dataops or has who runs it."""
    lines = (line for page in PAGES for line in shell_lines(page.read_text(encoding="utf-8")))
    assert {program(part) for line in lines for part in line.split(" && ")} <= {"dataops", *OTHERS}


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
