"""The command line against fakes: a file of tests declares the `session` that it talks to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_aws import OUTPUTS, ROOT
from printed_json import hold_to_the_page

from deployer import pauses
from deployer.cli import run
from deployer.composition import environment
from deployer.terminal.app import App


@pytest.fixture(autouse=True)
def _printed_json(monkeypatch: pytest.MonkeyPatch) -> None:
    hold_to_the_page(monkeypatch)


@pytest.fixture
def dataops(
    session: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command line against the fakes; gives exit code, stdout and stderr."""
    monkeypatch.setattr(App, "connect", lambda self, name, **_: session)
    monkeypatch.setattr(App, "environment", lambda self, name: session.environment)
    monkeypatch.setattr(environment, "stack_outputs", lambda session: OUTPUTS)
    monkeypatch.setattr(pauses.time, "sleep", lambda seconds: None)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["--project-dir", str(ROOT), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
