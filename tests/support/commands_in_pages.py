"""The commands that the pages show, and which of them no test has carried out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import click
from command_record import described
from repository import ROOT

from deployer import cli

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
# Other programs in the pages' shell lines, and who runs them.
OTHERS = {
    "python": "the pipeline runs benchmarks every night; the others take hours",
    "python3": ".ci/run takes both lines of the README and the blocks of docs/start.md from their text",
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
    """Every dataops command in the pages' blocks, each once."""
    found: dict[tuple[str, ...], Command] = {}
    for page in PAGES:
        for line in shell_lines(page.read_text(encoding="utf-8")):
            shown = [Command(page.relative_to(ROOT).as_posix(), part) for part in line.split(" && ")]
            found |= {each.arguments: each for each in shown if program(each.line) == "dataops"}
    return sorted(found.values(), key=str)


def parsed(arguments: tuple[str, ...]) -> tuple[str, frozenset[str]]:
    """The verb and the names of the options given; click raises for what it does not know."""
    context = cli.cli.make_context("dataops", list(arguments))
    rest = [*context._protected_args, *context.args]
    while isinstance(context.command, click.Group) and rest:
        command = context.command.get_command(context, rest[0])
        assert command is not None, f"there is no dataops {' '.join(arguments)}"
        context = command.make_context(rest[0], rest[1:], parent=context)
        rest = [*context._protected_args, *context.args]
    return described(context)


def never_run(shown: Iterable[Command], carried_out: Iterable[tuple[str, frozenset[str]]]) -> list[str]:
    """A complaint about each command whose verb was carried out at no time with (at least) its options."""
    done = list(carried_out)
    found = []
    for command in shown:
        verb, options = parsed(command.arguments)
        if not any(verb == each and options - EVERYWHERE <= given for each, given in done):
            found.append(f"{command}: no test carries out dataops {' '.join([verb, *sorted(options)])}")
    return found
