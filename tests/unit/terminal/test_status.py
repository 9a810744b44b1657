"""`dataops status`: what it says of an environment, once or again and again."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from fake_aws import OUTPUTS, FakeSession

from deployer.cli import run
from deployer.commands import status
from deployer.lake.watch import NextRun, OpenAlarm
from deployer.terminal.app import App

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def result(**known: Any) -> status.StatusResult:
    """An environment of which nothing is known but what a test says."""
    nothing = {"current": None, "lock": None, "arrivals": None, "last_run": None, "validation": None, "next_run": None}
    return status.StatusResult(**{"environment": "uat", "stacks": (), "alarms": (), **nothing, **known})


def test_alarms_and_the_next_run_are_said_with_what_to_do() -> None:
    """Given an alarm and a schedule, then people read what it means, since when, its section, and when the job runs."""
    alarm = OpenAlarm("a", "No run succeeded", NOW, "why", "docs/operations.md#no-run-succeeded")
    due = NextRun("s", "cron(30 4 * * ? *)", "UTC", True, NOW)
    assert list(status.status_lines(result(alarms=(alarm,), next_run=due)))[1:] == [
        "the job runs next at 2026-11-29 12:00 UTC (cron(30 4 * * ? *), UTC)",
        "alarm since 2026-11-29 12:00 UTC: No run succeeded, see docs/operations.md#no-run-succeeded",
    ]


def test_runs_of_an_earlier_version_are_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a lake of a version before 0.2.0, when it is looked at, then the error says which run carries its record over."""
    session: Any = FakeSession()
    session.s3.objects["base", "base/_runs/20261101T000000Z-00000000.json"] = b"{}"
    session.project.stacks = {}
    monkeypatch.setattr(App, "connect", lambda self, name, **_: session)
    monkeypatch.setattr(status, "evidence_of", lambda *_: SimpleNamespace(states={}, current=None))
    monkeypatch.setattr(status, "outputs_of", lambda *_: OUTPUTS)
    assert run(["status", "--env", "test"]) == 1
    assert "recorded by an earlier version" in (err := capsys.readouterr().err)
    assert "hint: dataops run --env test, or dataops data rebuild-catalog" in err


def stack(name: str, drift: str, checked: str | None) -> status.StackStatus:
    """A deployed stack with what CloudFormation says of its drift."""
    return status.StackStatus(name, f"lake-{name}", "CREATE_COMPLETE", None, "", True, "", drift, checked)


@pytest.mark.parametrize(
    ("stacks", "line"),
    [
        (
            [stack("a", "NOT_CHECKED", None)],
            "drift has not been detected yet: dataops drift --env uat",
        ),
        (
            [stack("a", "IN_SYNC", "2026-11-29T11:00:00+00:00"), stack("b", "IN_SYNC", "2026-11-28T10:00:00+00:00")],
            "drift as last detected, 2026-11-28 10:00 UTC: none",
        ),
        (
            [stack("a", "DRIFTED", "2026-11-29T11:00:00+00:00"), stack("b", "IN_SYNC", "2026-11-29T11:00:00+00:00")],
            "drift as last detected, 2026-11-29 11:00 UTC: a; dataops drift --env uat shows it",
        ),
    ],
)
def test_drift_is_said_as_last_detected(stacks: list[status.StackStatus], line: str) -> None:
    """Given what CloudFormation says of its last detection, then people read when that was and what it found; none is started."""
    assert line in status.status_lines(result(stacks=tuple(stacks)))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often somebody looks; the third pause is interrupted."""
    seen: list[int] = []
    monkeypatch.setattr(App, "connect", lambda self, name, **_: SimpleNamespace())
    monkeypatch.setattr(status, "look", lambda session: seen.append(1) or result())

    def sleep(seconds: float) -> None:
        if len(seen) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", sleep)
    return seen


def test_watching_looks_again_until_it_is_interrupted(looks: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """Given --watch, when it is interrupted, then it has looked each time and ends with the shell's code for that."""
    assert run(["status", "--env", "uat", "--watch", "5"]) == 130
    assert len(looks) == 3
    assert capsys.readouterr().out.count("environment uat: nothing is recorded as deployed") == 3


def test_watching_is_for_people(looks: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """Given --watch with JSON, which is one object, then it is refused."""
    assert run(["--output", "json", "status", "--env", "uat", "--watch", "5"]) == 2
    assert not looks and "--watch cannot be used with --output json" in capsys.readouterr().err
