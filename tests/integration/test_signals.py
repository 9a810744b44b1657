"""Real signals to a real process: SIGTERM clears up, SIGKILL is recovered from by the same command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from five_stacks import NAMES, bare_emulator, deploy, session_of, write_project

from deployer.composition.environment import artifacts_store, ledger_of
from deployer.ledger.lock import EnvironmentLock


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bare_emulator(tmp_path_factory.mktemp("emulator")) as found:
        yield found


@pytest.fixture
def project(tmp_path: Path, url: str, request: pytest.FixtureRequest) -> Path:
    directory = tmp_path / "project"
    write_project(directory, url)
    config = directory / "dataops.yml"
    name = "sig" + "".join(c for c in request.node.name if c.isalnum())[-12:].lower()
    config.write_text(config.read_text().replace("project: five", f"project: {name}"))
    (directory / "credentials").write_text("[uat]\naws_access_key_id=111111111111\naws_secret_access_key=x\n")
    return directory


def start(project: Path, *command: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "AWS_SHARED_CREDENTIALS_FILE": str(project / "credentials")}
    arguments = [sys.executable, "-m", "deployer.cli", "--project-dir", str(project), *command]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_twenty_deployments_at_once_exactly_one_runs(project: Path) -> None:
    """Given twenty processes that deploy to an empty account, then one runs, the others are locked out or have nothing to do."""
    command = ("--output", "json", "deploy", "--env", "uat", "--yes", "--no-smoke")
    processes = [start(project, *command) for _ in range(20)]
    ends = [(*process.communicate(timeout=300), process.returncode) for process in processes]
    assert {code for _, _, code in ends} <= {0, 5}, [err for _, err, code in ends if code not in (0, 5)]
    assert all("is locked by" in err for _, err, code in ends if code == 5)
    outcomes = [json.loads(out)["outcome"] for out, _, code in ends if code == 0]
    assert sorted(outcomes) == ["done", *["unchanged"] * (len(outcomes) - 1)]
    session = session_of(project)
    assert (
        len([run for run in ledger_of(session).runs() if run.outcome == "done"]) == len(ledger_of(session).runs()) == 1
    )
    for stack in NAMES:
        events = session.client("cloudformation").describe_stack_events(
            StackName=f"{session.project.name}-uat-{stack}"
        )["StackEvents"]
        ended = [e["ResourceStatus"] for e in events if e["PhysicalResourceId"] == e["StackId"]]
        assert ended.count("CREATE_COMPLETE") == 1
        assert not any(status.startswith("UPDATE") for status in ended)


@pytest.mark.parametrize("delay_seconds", [0.2, 0.6, 0.9, 1.2])
def test_a_killed_deployment_is_finished_by_the_next(project: Path, delay_seconds: float) -> None:
    """Given a deployment killed by SIGKILL at some moment, when it is run again, then it ends well and waits for no lock."""
    killed = start(project, "deploy", "--env", "uat", "--yes", "--no-smoke")
    time.sleep(delay_seconds)
    killed.kill()
    killed.communicate()
    again = start(project, "--output", "json", "deploy", "--env", "uat", "--yes", "--no-smoke")
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert json.loads(out)["outcome"] in ("done", "unchanged")
    client = session_of(project).client("cloudformation")
    name = session_of(project).project.name
    for stack in NAMES:
        events = client.describe_stack_events(StackName=f"{name}-uat-{stack}")["StackEvents"]
        starts = [
            e for e in events if e["PhysicalResourceId"] == e["StackId"] and e["ResourceStatus"] == "CREATE_IN_PROGRESS"
        ]
        assert len(starts) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay_seconds", [0.7, 1.1])
def test_a_stopped_plan_leaves_nothing_behind(project: Path, number: signal.Signals, delay_seconds: float) -> None:
    """Given a plan of a change, when it is stopped by a signal at some moment, then no change set and no lock is left."""
    deploy(session_of(project))
    (project / "script.py").write_text("print(2)\n")
    planning = start(project, "plan", "--env", "uat")
    time.sleep(delay_seconds)
    planning.send_signal(number)
    planning.communicate(timeout=60)
    client, name = session_of(project).client("cloudformation"), session_of(project).project.name
    for stack in NAMES:
        summaries = client.list_change_sets(StackName=f"{name}-uat-{stack}")["Summaries"]
        assert [s for s in summaries if s["ExecutionStatus"] == "AVAILABLE"] == []
    assert artifacts_store(session_of(project)).get("locks/uat.json") is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_deployment_that_waits_ends_with_the_exit_code_of_the_signal(project: Path, number: signal.Signals) -> None:
    """Given a deployment that waits for the lock, when a signal comes, then it ends at once, says how to go on, and exits
    as the shell expects of the signal."""
    deploy(session_of(project))
    (project / "script.py").write_text("print(2)\n")
    EnvironmentLock(artifacts_store(session_of(project)), "uat").take("somebody-else")
    waiting = start(project, "deploy", "--env", "uat", "--yes", "--no-smoke", "--lock-timeout", "300")
    assert waiting.stderr is not None
    assert "waiting up to 300 s" in next(line for line in waiting.stderr if "locked" in line)
    waiting.send_signal(number)
    _, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 128 + number
    assert "hint: run the same command again" in err
