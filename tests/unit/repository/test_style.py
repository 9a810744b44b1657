"""The linters of the project pass: style, types, SQL and YAML; the rooms import what they may."""

import ast
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


def test_a_command_imports_at_the_top_of_its_file() -> None:
    """Given the modules of commands, when they are read, then no function imports: what is heavy is behind App."""
    imports = [
        f"{file.name}:{node.lineno}"
        for file in (ROOT / "deployer" / "commands").glob("*.py")
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert imports == []


def test_answers_of_the_architecture_page_exist() -> None:
    """Given the questions of docs/architecture.md, when their answers are looked up, then each file is there."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    answers = re.findall(r"`((?:deployer|glue|functions)/[\w/]+\.py)`", page)
    assert len(answers) >= 10
    assert [path for path in answers if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(("folder", "modules"), [("deployer", 14), ("glue/refunds_lake", 4)])
def test_new_code_goes_into_a_room(folder: str, modules: int) -> None:
    """Given a package that is divided into rooms, then only so many modules stand outside of them."""
    assert len(list((ROOT / folder).glob("*.py"))) <= modules


def test_the_jobs_library_stays_one_that_can_be_read() -> None:
    """Given the job's library, when its lines are counted, then they are at most 4,500: who adds some finds what can go.

    Not counted: `refunds_earlier`, the other package of the bundle, which goes with the manifests that it converts (decision 0409).
    """
    files = (ROOT / "glue" / "refunds_lake").rglob("*.py")
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files) <= 4500
