""".ci/run executes what README.md and docs/start.md show: their own lines, each installation once, in fresh clones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from commands_in_pages import shell_lines
from repository import ROOT

# In place of Python, a program whose environments hold others that only say how they were called.
PYTHON = """#!/bin/bash
mkdir -p .venv/bin
for name in pip pytest dataops; do
  printf '%s\\n' '#!/bin/bash' "echo \\"\\${PWD##*/}: $name \\$*\\" >> $CALLS" \\
    '[ "$1" != new ] || mkdir "$2"' "[ \\"$name \\$1\\" != \\"$FAILS\\" ]" > .venv/bin/$name
  chmod +x .venv/bin/$name
done
echo "PATH=$PWD/.venv/bin:\\$PATH" > .venv/bin/activate
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the script and both pages."""
    directory = tmp_path / "repository"
    for name in (".ci/run", "README.md", "docs/start.md"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, directory / name)
    commit(directory)
    (tmp_path / "python3").write_text(PYTHON, encoding="utf-8")
    (tmp_path / "python3").chmod(0o755)
    return directory


def commit(directory: Path) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "--message", "t"]):
        subprocess.run(["git", *command], cwd=directory, check=True)


def run(repository: Path, *, fails: str = "") -> tuple[int, str, list[str]]:
    """How the script ends, what it says on stderr, and the folder and arguments of each program that it has called."""
    calls = repository.parent / "calls"
    path = os.pathsep.join([str(repository.parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "CALLS": str(calls), "FAILS": fails, "TMPDIR": str(repository.parent)}
    done = subprocess.run([repository / ".ci/run"], env=environment, capture_output=True, text=True, check=False)
    called = calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
    assert list(repository.parent.glob("tmp.*")) == []
    return (
        done.returncode,
        done.stderr,
        [re.sub(r"--project-dir \S*/(\S+)", r"--project-dir \1", each) for each in called],
    )


def test_the_pages_are_executed_in_order(repository: Path) -> None:
    """Given both pages, when the script runs, then tests, README and start.md are executed, and clouds stopped."""
    code, said, called = run(repository)
    assert code == 0, said
    page = [
        line for line in shell_lines((ROOT / "docs/start.md").read_text(encoding="utf-8")) if line.startswith("data")
    ]
    assert called == [
        "test: pip install -e .[dev]",
        "test: pytest ",
        "start: pip install -e .[local]",
        "start: dataops deploy --env local --yes",
        "repository: dataops --project-dir start local stop",
        f"start: {page[0]}",
        *(f"refunds: {line.replace(chr(34), '')}" for line in page[1:]),
        "repository: dataops --project-dir start local stop",
        "repository: dataops --project-dir refunds local stop",
    ]
    assert len(page) > 10


def test_a_command_that_fails_ends_it(repository: Path) -> None:
    """Given a command of the page that fails, when the script runs, then it fails at once, and the cloud is stopped."""
    code, _, called = run(repository, fails="dataops validate")
    assert code != 0
    assert called[-3:] == [
        "refunds: dataops validate",
        "repository: dataops --project-dir start local stop",
        "repository: dataops --project-dir refunds local stop",
    ]


def test_pages_that_install_differently_are_refused(repository: Path) -> None:
    """Given another installation on one page, when the script runs, then it says so before it runs anything."""
    page = repository / "docs/start.md"
    page.write_text(page.read_text(encoding="utf-8").replace("'.[local]'", "."), encoding="utf-8")
    code, said, called = run(repository)
    assert (code, called) == (1, []) and "docs/start.md does not begin with" in said
