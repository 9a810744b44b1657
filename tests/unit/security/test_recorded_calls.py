"""How calls are recorded while tests run, and judged at their end (tests/conftest.py): the policies rest on them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from call_check import complaints
from call_record import VARIABLE, read, record
from repository import ROOT

from deployer.security.iam_policy import Role, load_calls


def test_a_call_that_is_not_listed_is_a_complaint() -> None:
    """Given calls, when they are judged, then one that its command's role does not list is named, by command and operation."""
    listed = ("-", *min(load_calls(Role.RESTORE)))
    assert complaints({listed}, is_everything=False) == []
    (complaint,) = complaints({listed, ("plan", "s3", "DeleteBucket")}, is_everything=False)
    assert "plan calls s3 DeleteBucket" in complaint


def test_where_everything_ran_a_listed_call_that_nobody_makes_is_a_complaint() -> None:
    """Given all listed calls but one, when the whole suite is judged, then that one is named."""
    listed = load_calls(Role.RESTORE)
    missing = min(listed)
    called = {("-", *call) for call in listed - {missing}}
    assert complaints(called | {("-", *missing)}, is_everything=True) == []
    assert complaints(called, is_everything=False) == []
    (complaint,) = complaints(called, is_everything=True)
    assert " ".join(missing) in complaint


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
    calls = "for _ in range(2): record('plan', 's3', 'GetObject')\nfor name in ('', 'data runs'): record(name, 's3', 'GetObject')"
    exec(calls, ours)  # noqa: S102  (as that module)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "- s3 GetObject",
        "data s3 GetObject",
        "plan s3 GetObject",
    ]
    assert read(tmp_path) == {(command, "s3", "GetObject") for command in ("plan", "-", "data")}


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
code = "for session in (ours, others): session._log_call(Model)"
exec(code, {"__name__": "deployer.something", "ours": ours, "others": others, "Model": Model})
"""


def test_a_program_that_a_test_starts_is_watched(tmp_path: Path) -> None:
    """Given a program of its own, when its sessions call, then our calls are written down, and the partner's are not."""
    subprocess.run([sys.executable, "-c", STARTED], env={**os.environ, VARIABLE: str(tmp_path)}, check=True)
    assert read(tmp_path) == {("show", "s3", "GetObject")}
