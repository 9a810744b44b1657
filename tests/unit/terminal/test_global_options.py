"""--project-dir, --output and -v: in front of a command's name and behind it, for every command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from deployer import cli
from deployer.terminal.app import App
from deployer.terminal.options import GlobalOption, complete_environment


def leaves(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    """The words of every command that does something, those of groups included."""
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from leaves(below, *path, name)


COMMANDS = sorted(leaves(cli.cli))
every_command = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


def app_after(*arguments: str) -> App:
    """What a command line has told App; it ends at --help."""
    app = App()
    cli.cli.main(list(arguments), prog_name="dataops", standalone_mode=False, obj=app)
    return app


def test_the_commands_of_groups_are_among_them() -> None:
    """Given the tests below, when they say every command, then that holds for nested ones."""
    assert {("local", "status"), ("data", "runs"), ("plan",)} <= set(COMMANDS)


@every_command
def test_a_command_takes_them_behind_its_name(command: tuple[str, ...], tmp_path: Path) -> None:
    """Given a command, when they stand behind its name, then they hold as in front, and the help of the command has them."""
    behind = ("--output", "json", "-v", "--project-dir", str(tmp_path), "--help")
    app = app_after(*command, *behind)
    assert (app.output, app.verbose, app.project_dir) == ("json", 1, tmp_path)
    app = app_after(*behind[:-1], *command, "--help")
    assert (app.output, app.verbose, app.project_dir) == ("json", 1, tmp_path)


@every_command
def test_the_later_one_wins(command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an option twice, when the line is read, then the later one holds; each -v counts; a variable comes last."""
    monkeypatch.setenv("DATAOPS_PROJECT_DIR", str(tmp_path / "variable"))
    assert app_after(*command, "--help").project_dir == tmp_path / "variable"
    front = ("--output", "json", "--project-dir", str(tmp_path / "front"), "-v")
    behind = ("--output", "text", "--output", "text", "--project-dir", str(tmp_path / "behind"), "-v", "--help")
    assert app_after(*front, *command, "--help").project_dir == tmp_path / "front"
    app = app_after(*front, *command, *behind)
    assert (app.output, app.verbose, app.project_dir) == ("text", 2, tmp_path / "behind")


@every_command
def test_their_names_are_theirs_alone(command: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    """Given a command's help, when it is read, then each of them is listed once: no option of the command shares a name."""
    app_after(*command, "--help")
    text = capfd.readouterr().out
    assert [text.count(f"  {name} ") for name in ("--project-dir", "--output", "-v,")] == [1, 1, 1]


def test_a_group_takes_them_between_the_words(tmp_path: Path) -> None:
    """Given `dataops local status`, when --output stands between the words, then it holds."""
    assert app_after("local", "--output", "json", "status", "--help").output == "json"


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--output", "json"],
        ["plan", "--nonsense", "--output", "json"],
        ["plan", "--output", "text", "--nonsense", "--output=json"],
        ["--output", "json", "plan", "--nonsense"],
    ],
)
def test_json_holds_for_a_command_line_that_is_wrong(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Given --output json anywhere, when the command line cannot be read, then stdout says why as an object."""
    assert cli.run(arguments) == 2
    assert json.loads(capfd.readouterr().out)["error"]["exit_code"] == 2


def test_environments_complete_from_the_project_that_is_named(tmp_path: Path) -> None:
    """Given --project-dir in front or behind, when --env completes, then the environments are that project's."""
    (tmp_path / "dataops.yml").write_text("environments:\n  sandbox: {}\n")
    for words in (["--project-dir", str(tmp_path), "plan"], ["plan", "--project-dir", str(tmp_path)]):
        with cli.cli.make_context("dataops", [*words, "--help"], resilient_parsing=True, obj=App()) as context:
            rest = [*context._protected_args, *context.args]
            command = cli.cli.get_command(context, "plan")
            assert command is not None
            with command.make_context("plan", rest[1:], parent=context, resilient_parsing=True) as below:
                assert [item.value for item in complete_environment(below, command.params[0], "s")] == ["sandbox"]


def test_a_command_is_given_them_once() -> None:
    """Given a command that is looked up again, when its options are counted, then they have not become more."""
    context = click.Context(cli.cli)
    for _ in range(2):
        command = cli.cli.get_command(context, "plan")
    assert command is not None
    assert len([each for each in command.params if isinstance(each, GlobalOption)]) == 3
