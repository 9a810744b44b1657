"""A wheel in a virtual environment without the checkout: `dataops new` makes a project that deploys and reports."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from call_record import FOLDER as RECORDING
from local_project import LocalProject
from pipeline_agent import repository_files
from repository import ROOT

from deployer.project.config import load_project
from deployer.release.release import build_release

BUILDS_WHEELS = (70, 1)  # the first setuptools that needs no other package for it


def run(*command: str | Path, directory: Path) -> str:
    """The stdout of a program that knows nothing of this process's packages; its commands are recorded."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    environment["PYTHONPATH"] = str(RECORDING)
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=600, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(directory: Path) -> Path:
    """The wheel of what git has or would add, built as pip builds it."""
    source = directory / "source"
    for file in repository_files(ROOT):
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, source / file, follow_symlinks=False)
    is_able = tuple(map(int, version("setuptools").split(".")[:2])) >= BUILDS_WHEELS
    isolation = ["--no-build-isolation"] if is_able else []
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps", *isolation]
    run(*pip, "--wheel-dir", directory, source, directory=directory)
    shutil.rmtree(source)
    (wheel,) = directory.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProject]:
    """A project that the wheel's dataops has created; the other packages are those that run the tests."""
    directory = tmp_path_factory.mktemp("wheel")
    wheel = build_wheel(directory)
    run(sys.executable, "-m", "venv", "--without-pip", "venv", directory=directory)
    packages = next((directory / "venv").glob("lib/python*/site-packages"))
    others = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "others.pth").write_text("\n".join(others))
    python = directory / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", "--ignore-installed", wheel, directory=directory)
    where = run(python, "-c", "import deployer; print(deployer.__file__)", directory=directory)
    assert str(directory.resolve()) in where, "the checkout's own dataops would be tested"
    dataops = directory / "venv/bin/dataops"
    run(dataops, "new", "shop", "--name", "acme-refunds", directory=directory)
    made = LocalProject(directory / "shop", str(dataops))
    yield made
    made.dataops("local", "stop", check=False)


def test_the_wheel_holds_no_test_and_no_secret_place(project: LocalProject) -> None:
    """Given the wheel, when its names are read, then it has what a project needs, and neither tests nor benchmarks."""
    (wheel,) = project.directory.parent.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("share/refunds-lakehouse/templates/glue.yaml") for name in names)
    assert not [name for name in names if "tests/" in name or "benchmarks/" in name or "__pycache__" in name]


def test_a_new_project_is_the_same_release(project: LocalProject) -> None:
    """Given the project, when its release is built, then it is byte for byte the checkout's; only its name is its own."""
    ours, theirs = build_release(load_project(ROOT)), build_release(load_project(project.directory))
    assert theirs.files == ours.files
    assert load_project(project.directory).name == "acme-refunds"
    project.dataops("validate")


def test_the_first_ten_minutes_are_as_the_page_says(project: LocalProject) -> None:
    """Given docs/start.md, when its commands are run in an empty directory, then each succeeds and the report is right."""
    page = (ROOT / "docs/start.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    empty = project.directory.parent / "empty"
    empty.mkdir()
    programs = f"export PATH={Path(project.command).parent}:$PATH"
    try:
        said = run("bash", "-euo", "pipefail", "-c", "\n".join([programs, *blocks]), directory=empty)
    finally:
        run(project.command, "--project-dir", "refunds", "local", "stop", directory=empty)
    assert "smoke test: pass" in said
    answer = json.loads((empty / "refunds/sample.answer.json").read_text(encoding="utf-8"))
    rows = json.loads((empty / "refunds/report.json").read_text(encoding="utf-8"))
    assert rows and rows == answer["total"]


def test_a_directory_with_files_is_left_alone(project: LocalProject) -> None:
    """Given a directory that is not empty, when a project is to be created there, then that is refused with 6."""
    refused = project.dataops("new", ".", check=False)
    assert refused.returncode == 6 and "not empty" in refused.stderr
