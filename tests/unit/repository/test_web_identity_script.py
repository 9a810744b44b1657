""".ci/with-web-identity: the token is there while the command runs, for this user alone, and gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pipeline import as_environment, azure_devops
from repository import ROOT

SCRIPT = ROOT / ".ci" / "with-web-identity"
TOKEN = ".ci/web-identity-token"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """A checkout, and the variables of a step that has a service connection; its tokens are numbered, the second is lost."""
    (tmp_path / ".ci").mkdir()
    numbers = iter(range(1, 100))

    def issue(connection: str) -> str | None:
        return None if (number := next(numbers)) == 2 else f"token {number} of {connection}"

    with azure_devops(issue) as (variables, _):
        yield tmp_path, {**os.environ, **as_environment(variables), "SERVICE_CONNECTION_ID": "id-7"}


def start(agent: tuple[Path, Mapping[str, str]], *command: str) -> subprocess.Popen[str]:
    directory, variables = agent
    return subprocess.Popen([SCRIPT, *command], cwd=directory, env=variables, stdout=subprocess.PIPE, text=True)


def test_the_command_finds_the_token_and_its_end_is_the_script_s(agent: tuple[Path, Mapping[str, str]]) -> None:
    """Given a command, when it runs, then it reads the connection's token from a private file, which is gone afterwards."""
    with start(agent, "bash", "-c", f"stat -c %a {TOKEN}; cat {TOKEN}; exit 3") as done:
        assert done.stdout is not None and done.stdout.read() == "600\ntoken 1 of id-7"
    assert done.returncode == 3
    assert list((agent[0] / ".ci").iterdir()) == []


def test_a_signal_goes_to_the_command(agent: tuple[Path, Mapping[str, str]]) -> None:
    """Given a step that is stopped, when the signal comes, then the command gets it, ends in order, and no token stays."""
    with start(agent, "bash", "-c", "trap 'echo stopping; exit 143' TERM; echo ready; sleep 30 & wait") as running:
        assert running.stdout is not None and running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGTERM)
        assert running.stdout.readline() == "stopping\n"
    assert running.returncode == 143
    assert list((agent[0] / ".ci").iterdir()) == []


def test_a_long_run_gets_new_tokens(agent: tuple[Path, Mapping[str, str]]) -> None:
    """Given a run that outlasts a token, when time passes, then the file holds a newer one, though an answer had none."""
    text = SCRIPT.read_text(encoding="utf-8")
    assert text.count("RENEW_SECONDS = 240") == 1
    quick = agent[0] / "quick"
    quick.write_text(text.replace("RENEW_SECONDS = 240", "RENEW_SECONDS = 0.1"), encoding="utf-8")
    quick.chmod(0o755)
    started = time.monotonic()
    command = f"until grep -q 'token [3-9]' {TOKEN}; do sleep 0.05; done"
    done = subprocess.run([quick, "bash", "-c", command], cwd=agent[0], env=agent[1], timeout=30, check=False)
    assert done.returncode == 0 and time.monotonic() - started < 30


def test_no_token_no_command(agent: tuple[Path, Mapping[str, str]]) -> None:
    """Given an Azure DevOps that cannot be reached, when a step begins, then it fails and the command is not run."""
    directory, variables = agent
    unreachable = {**variables, "SYSTEM_OIDCREQUESTURI": "http://127.0.0.1:9/none"}
    done = subprocess.run(
        [SCRIPT, "touch", "ran"], cwd=directory, env=unreachable, capture_output=True, timeout=60, check=False
    )
    assert done.returncode != 0 and not (directory / "ran").exists()
