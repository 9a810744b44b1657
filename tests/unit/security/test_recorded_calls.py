"""What the deployer has called while the tests ran is what aws_calls.json lists, and so what the policies allow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from call_record import NO_COMMAND, VARIABLE, read, record
from repository import ROOT

from deployer.security.iam_policy import COMMANDS, Role, load_calls

COMMAND_ROLES = {command: role for role, commands in COMMANDS.items() for command in commands}


def is_whole_suite(request: pytest.FixtureRequest) -> bool:
    """Whether plain `pytest` was started: no paths, no filter, and without a failure so far, in this process."""
    option = request.config.option
    is_plain = request.config.args_source is pytest.Config.ArgsSource.TESTPATHS
    is_filtered = option.keyword or option.markexpr or getattr(option, "lf", False) or option.deselect
    is_divided = hasattr(request.config, "workerinput")
    return is_plain and not is_filtered and not is_divided and not request.session.testsfailed


@pytest.mark.last
def test_what_was_called_is_what_is_listed(request: pytest.FixtureRequest) -> None:
    """Given all tests, when their calls are read, then each is listed for its command's role, and all listed were made."""
    called = read(Path(os.environ[VARIABLE]))
    for command, service, operation in sorted(called):
        role = Role.OPERATE if command == NO_COMMAND else COMMAND_ROLES[command]
        assert (service, operation) in load_calls(role), f"{command} calls {service} {operation}: see aws_calls.json"
    if is_whole_suite(request):
        assert {(service, operation) for _, service, operation in called} == load_calls(Role.OPERATE)


def test_plain_pytest_runs_all_tests(pytestconfig: pytest.Config) -> None:
    """Given the files of tests, when they are held against setup.cfg, then plain `pytest` collects each."""
    searched = [ROOT / folder for folder in pytestconfig.getini("testpaths")]
    forgotten = [file for file in (ROOT / "tests").rglob("test_*.py") if not any(map(file.is_relative_to, searched))]
    assert searched and not forgotten


def test_a_call_of_a_test_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a test that calls AWS itself, when calls are recorded, then its call is left out."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    record("deploy", "s3", "CreateBucket")
    assert read(tmp_path) == set()


def test_a_call_of_the_deployer_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given code of the deployer, when it calls twice, then one file says which command called what."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    ours = {"__name__": "deployer.something", "record": record}
    exec("for _ in range(2): record('plan', 's3', 'GetObject')\nrecord('', 's3', 'GetObject')", ours)  # noqa: S102  (as that module)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["- s3 GetObject", "plan s3 GetObject"]
    assert read(tmp_path) == {("plan", "s3", "GetObject"), ("-", "s3", "GetObject")}


STARTED = """
from deployer.project.config import Environment, Project
from deployer.aws.session import Access, Session
from pathlib import Path

class Model:
    name = "GetObject"
    class service_model:
        service_name = "s3"

ours = Session(Project("p", Path(), {}, {}, {}), Environment("uat", region="eu-west-1"), Access())
ours.command = "show"
others = ours.as_account("1" * 12, None)
code = "for session in (ours, others): session._record(Model)"
exec(code, {"__name__": "deployer.something", "ours": ours, "others": others, "Model": Model})
"""


def test_a_program_that_a_test_starts_is_watched(tmp_path: Path) -> None:
    """Given a program of its own, when its sessions call, then our calls are written down, and the partner's are not."""
    subprocess.run([sys.executable, "-c", STARTED], env={**os.environ, VARIABLE: str(tmp_path)}, check=True)
    assert read(tmp_path) == {("show", "s3", "GetObject")}
