"""The linters of the project pass: style, types, SQL and YAML; the rooms import what they may."""

import re
import subprocess
import sys

import pytest
from importlinter.cli import lint_imports
from linters import LINTERS
from repository import ROOT


@pytest.mark.parametrize("name", LINTERS)
def test_linter_finds_nothing(name: str) -> None:
    """Given the repository, when a linter reads it, then it finds nothing."""
    command = [sys.executable, "-m", *LINTERS[name]]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{' '.join(command)}\n{run.stdout}\n{run.stderr}"


def test_rooms_import_only_what_they_may() -> None:
    """Given the contracts of .importlinter, when all imports are read, then each contract is kept."""
    assert lint_imports(config_filename=str(ROOT / ".importlinter"), no_cache=True) == 0


def test_answers_of_the_architecture_page_exist() -> None:
    """Given the questions of docs/architecture.md, when their answers are looked up, then each file is there."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    answers = re.findall(r"`((?:deployer|glue|functions)/[\w/]+\.py)`", page)
    assert len(answers) >= 10
    assert [path for path in answers if not (ROOT / path).exists()] == []
