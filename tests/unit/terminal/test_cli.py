"""The command line: starts light, explains every command, and ends with the exit code of the contract."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import click
import pytest
from botocore.exceptions import NoCredentialsError
from repository import ROOT

from deployer import cli
from deployer.errors import ConfigError, DataopsError, Locked, Refused, SmokeTestFailed, UsageError
from deployer.terminal.app import App
from deployer.terminal.options import declared_environments, env_option

FORBIDDEN = (
    "boto3",
    "botocore",
    "yaml",
    "cfnlint",
    "pyspark",
    "pyarrow",
    "numpy",
    "duckdb",
    "sqlglot",
    "ministack",
    "s3transfer",
)


def python(code: str, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )


# Start-up.


IMPORTED = """
import json, sys
from deployer import cli
forbidden, command_lines, found = json.loads(sys.argv[1])
for command_line in command_lines:
    cli.run(command_line)
    now = sorted({name.split(".")[0] for name in sys.modules} & set(forbidden) - {name for _, name in found})
    found += [(" ".join(command_line), name) for name in now]
print(json.dumps(found), file=sys.stderr)
"""


def test_help_and_version_import_nothing_heavy() -> None:
    """Given a question about dataops or one of its commands, when it is answered, then no heavy package is imported."""
    command_lines = [["--help"], ["--version"], ["nonsense"], *([name, "--help"] for name in cli.COMMANDS)]
    run = python(IMPORTED, json.dumps([FORBIDDEN, command_lines, []]))
    assert json.loads(run.stderr.splitlines()[-1]) == []


@pytest.mark.parametrize(("words", "expected"), [("dataops pl", "plan"), ("dataops plan --env p", "prod")])
def test_completion_imports_nothing_heavy(words: str, expected: str) -> None:
    """Given a half typed word, when the shell asks, then commands and environments complete, and nothing heavy loads."""
    words_of_shell = words.split()
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words_of_shell) - 1), "_DATAOPS_COMPLETE": "bash_complete"}
    code = "import sys; sys.argv = ['dataops']\nfrom deployer import cli\ntry: cli.main()\nfinally: print(*sys.modules, file=sys.stderr)"
    run = python(code, environment=asked)
    assert f"plain,{expected}" in run.stdout.splitlines()
    assert set(FORBIDDEN) & {name.split(".")[0] for name in run.stderr.split()} == set()


def test_environments_complete_from_the_file_as_it_is_indented() -> None:
    """Given dataops.yml, when environments complete, then exactly the declared ones do."""
    assert declared_environments((ROOT / "dataops.yml").read_text(encoding="utf-8")) == ["local", "uat", "prod"]
    assert declared_environments("environments:\n    a:\n        b: 1\n\n    # c:\n    d: {}\nstacks:\n    e: {}") == [
        "a",
        "d",
    ]
    assert declared_environments("stacks: {}") == []


def test_an_old_python_is_told_what_to_do() -> None:
    """Given Python 3.9, when dataops starts, then one line says which Python it needs and how to get on."""
    run = python("import sys; sys.version_info = (3, 9, 1, 'final', 0); import deployer.cli")
    assert run.returncode == 2
    assert run.stderr.splitlines() == [
        f"error: dataops needs Python 3.11 or newer, this is 3.9 ({sys.executable})",
        "hint: python3.11 -m venv .venv && .venv/bin/pip install -e '.[local]'",
    ]


# Help.


def help_of(capfd: pytest.CaptureFixture[str], *path: str) -> str:
    assert cli.run([*path, "--help"]) == 0
    return capfd.readouterr().out


def test_help_lists_the_commands_and_the_exit_codes(capfd: pytest.CaptureFixture[str]) -> None:
    """Given the table of commands, when help is asked, then each is listed, and the exit codes are."""
    text = help_of(capfd)
    assert re.findall(r"^  ([a-z-]+) {2,}[A-Z]", text.partition("Commands:")[2], re.MULTILINE) == list(cli.COMMANDS)
    assert "3 changes pending" in text


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_shows_examples(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Given a command, when its help is asked, then it shows examples that start with `dataops`."""
    command = cli.cli.get_command(click.Context(cli.cli), name)
    subcommands = command.commands if isinstance(command, click.Group) else {}
    for path in [[name, sub] for sub in subcommands] or [[name]]:
        text = help_of(capfd, *path)
        assert re.search(r"Examples:\n\s+dataops ", text), (
            f"{' '.join(path)} needs deployer.terminal.options.examples\n{text}"
        )


def test_a_command_that_is_not_installed_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an installation that lacks a command's module, when the command is used, then the module is named."""
    monkeypatch.setitem(cli.COMMANDS, "probe", ("deployer_absent", "probe", "Probe."))
    with pytest.raises(ModuleNotFoundError, match="deployer_absent"):
        cli.run(["probe"])


# How a run ends.


@pytest.fixture
def ends_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[App], Any]], None]:
    """Makes the command `probe` do something."""

    def install(act: Callable[[App], Any]) -> None:
        @click.command()
        @click.option("--number", type=int)
        @click.pass_obj
        def probe(app: App, number: int | None) -> Any:
            return act(app)

        module = ModuleType("deployer_probe")
        module.__dict__.update(probe=probe)
        monkeypatch.setitem(sys.modules, "deployer_probe", module)
        monkeypatch.setitem(cli.COMMANDS, "probe", ("deployer_probe", "probe", "Probe."))

    return install


Ends = Callable[[Callable[[App], Any]], None]


def raising(error: BaseException) -> Callable[[App], Any]:
    def act(app: App) -> None:
        raise error

    return act


ENDS: list[tuple[BaseException, int, list[str]]] = [
    (DataopsError("broke", hint="mend it"), 1, ["error: broke", "hint: mend it"]),
    (UsageError("unknown"), 2, ["error: unknown"]),
    (
        ConfigError("a", where="f:1:1", others=[ConfigError("b", where="f:2:1")]),
        2,
        ["error: f:1:1: a", "error: f:2:1: b"],
    ),
    (SmokeTestFailed("wrong"), 4, ["error: wrong"]),
    (Locked("busy"), 5, ["error: busy"]),
    (Refused("no"), 6, ["error: no"]),
    (KeyboardInterrupt(), 130, ["interrupted"]),
    (cli.Terminated(), 143, ["terminated"]),
    (click.exceptions.Abort(), 1, ["stopped: not confirmed"]),
    (click.UsageError("odd"), 2, ["error: odd", "hint: dataops probe --help"]),
    (click.BadParameter("odd"), 2, ["error: Invalid value: odd", "hint: dataops probe --help"]),
    (click.ClickException("odd"), 2, ["error: odd"]),
]


@pytest.mark.parametrize(("error", "code", "lines"), ENDS, ids=lambda value: type(value).__name__)
def test_an_error_ends_with_its_exit_code_and_no_traceback(
    ends_with: Ends, capfd: pytest.CaptureFixture[str], error: BaseException, code: int, lines: list[str]
) -> None:
    """Given a command that fails in a known way, when it ends, then stderr says so in a line and the code is right."""
    ends_with(raising(error))
    assert cli.run(["probe"]) == code
    captured = capfd.readouterr()
    assert [line for line in captured.err.splitlines() if line] == lines
    assert captured.out == ""


def test_an_answer_of_aws_is_explained(ends_with: Ends, capfd: pytest.CaptureFixture[str]) -> None:
    """Given no credentials, when a command calls AWS, then the operator is told where credentials come from."""
    ends_with(raising(NoCredentialsError()))
    assert cli.run(["probe"]) == 1
    assert "hint: aws configure" in capfd.readouterr().err


def test_a_bug_keeps_its_traceback(ends_with: Ends) -> None:
    """Given a command with a bug, when it runs, then the exception is not swallowed."""
    ends_with(raising(ZeroDivisionError("bug")))
    with pytest.raises(ZeroDivisionError, match="bug"):
        cli.run(["probe"])


def test_what_a_command_returns_is_the_exit_code(ends_with: Ends) -> None:
    """Given a plan with changes, when the command returns 3, then dataops ends with 3; nothing returned is 0."""
    ends_with(lambda app: 3)
    assert cli.run(["probe"]) == 3
    ends_with(lambda app: None)
    assert cli.run(["probe"]) == 0


@pytest.mark.parametrize(
    ("command_line", "message"),
    [
        (["depoly"], "error: unknown command 'depoly', did you mean 'deploy'?"),
        (["--outptu", "json"], "error: No such option"),
        (["--output", "xml", "probe"], "error: Invalid value for '--output'"),
        (["probe", "--number", "x"], "error: Invalid value for '--number'"),
        (["probe", "surplus"], "error: Got unexpected extra argument"),
    ],
)
def test_a_wrong_command_line_is_usage(
    ends_with: Ends, capfd: pytest.CaptureFixture[str], command_line: list[str], message: str
) -> None:
    """Given a command line that click refuses, when it runs, then the exit code is 2 and the help is named."""
    ends_with(lambda app: None)
    assert cli.run(command_line) == 2
    error = capfd.readouterr().err
    assert error.startswith(message)
    assert "--help" in error


def test_a_misspelt_command_has_a_suggestion(capfd: pytest.CaptureFixture[str]) -> None:
    """Given a misspelt command, when it runs, then the right one is suggested."""
    assert cli.run(["validat"]) == 2
    assert "did you mean 'validate'?" in capfd.readouterr().err


def test_without_a_command_the_help_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """Given no command, when dataops runs, then it shows its help, as usage."""
    assert cli.run([]) == 2
    assert "Usage: dataops" in capfd.readouterr().err


# Results.


def test_json_output_is_one_object_with_a_version(ends_with: Ends, capfd: pytest.CaptureFixture[str]) -> None:
    """Given --output json, when a command has a result, then stdout is one object, and talk is on stderr."""

    def act(app: App) -> None:
        app.say("working")
        app.emit({"rows": 1}, "one row")

    ends_with(act)
    assert cli.run(["--output", "json", "probe"]) == 0
    captured = capfd.readouterr()
    assert json.loads(captured.out) == {"version": 1, "command": "probe", "rows": 1}
    assert captured.err == "working\n"
    assert cli.run(["probe"]) == 0
    assert capfd.readouterr().out == "one row\n"


@pytest.mark.parametrize("command_line", [["--output", "json", "probe"], ["--output", "json", "depoly"]])
def test_json_output_holds_for_errors(
    ends_with: Ends, capfd: pytest.CaptureFixture[str], command_line: list[str]
) -> None:
    """Given --output json, when a command fails before its result, then stdout is one object that says why."""
    ends_with(raising(UsageError("unknown", where="here", hint="look")))
    assert cli.run(command_line) == 2
    document = json.loads(capfd.readouterr().out)
    assert document["version"] == 1
    assert document["error"]["exit_code"] == 2
    assert document["error"]["hint"]


def test_a_result_is_not_followed_by_an_error_object(ends_with: Ends, capfd: pytest.CaptureFixture[str]) -> None:
    """Given a command that fails after its result, when it ends, then stdout still holds one object."""

    def act(app: App) -> None:
        app.emit({"ok": False}, "")
        raise SmokeTestFailed("wrong answer")

    ends_with(act)
    assert cli.run(["--output", "json", "probe"]) == 4
    assert json.loads(capfd.readouterr().out)["ok"] is False


def test_an_unknown_environment_names_the_known_and_the_nearest(
    ends_with: Ends, capfd: pytest.CaptureFixture[str]
) -> None:
    """Given an environment that is not declared, when a command asks for it, then the nearest is suggested."""
    ends_with(lambda app: app.environment("uta"))
    assert cli.run(["--project-dir", str(ROOT), "probe"]) == 2
    assert capfd.readouterr().err.splitlines() == [
        "error: unknown environment 'uta', known are local, uat, prod",
        "hint: did you mean 'uat'?",
    ]


def test_a_question_without_a_terminal_names_yes(ends_with: Ends, capfd: pytest.CaptureFixture[str]) -> None:
    """Given no terminal, when a command asks, then it stops and says that --yes answers; with --yes it goes on."""
    ends_with(lambda app: int(not app.confirm("Go on?", yes=False)))
    assert cli.run(["probe"]) == 2
    assert "use --yes" in capfd.readouterr().err
    ends_with(lambda app: int(not app.confirm("Go on?", yes=True)))
    assert cli.run(["probe"]) == 0


def test_a_shared_option_is_spelt_alike() -> None:
    """Given a command with --env, when it is missing, then click says so by that name."""

    @env_option
    def command(env_name: str) -> None: ...

    (option,) = command.__click_params__  # type: ignore[attr-defined]
    assert (option.opts, option.name, option.required) == (["--env"], "env_name", True)


# Signals, in a process of its own.

SLEEPER = """
import signal, sys, time, click
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell has it ignored
from types import ModuleType
from deployer import cli

@click.command()
def probe():
    print("ready", flush=True)
    try:
        time.sleep(30)
    finally:
        print("cleaned up", flush=True)

module = ModuleType("deployer_probe")
module.__dict__.update(probe=probe)
sys.modules["deployer_probe"] = module
cli.COMMANDS["probe"] = ("deployer_probe", "probe", "Probe.")
sys.argv = ["dataops", "probe"]
cli.main()
"""


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_with_one_line_after_cleaning_up(number: signal.Signals, code: int, said: str) -> None:
    """Given a running command, when Ctrl-C or SIGTERM comes, then it cleans up and ends with one line."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.05)
    process.send_signal(number)
    out, error = process.communicate(timeout=10)
    assert process.returncode == code
    assert out == "cleaned up\n"
    assert error.split() == [said]
