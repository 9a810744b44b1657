"""The hooks of .pre-commit-config.yaml are what the pipeline's lint stage runs, and pre-commit runs them without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from linters import LINTERS
from pipeline import scripts
from repository import ROOT

CONFIG = ROOT / ".pre-commit-config.yaml"
PROGRAMS = ".venv/bin/"
HOOKS = [hook for repo in yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["repos"] for hook in repo["hooks"]]


def test_every_hook_is_local() -> None:
    """Given the hooks, when they are read, then each runs a program of the checkout's environment, and none is downloaded."""
    assert {repo["repo"] for repo in yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["repos"]} == {"local"}
    for hook in HOOKS:
        assert hook["language"] == "system" and hook["entry"].startswith(PROGRAMS) and not hook["pass_filenames"]


def test_the_hooks_are_the_lint_stage() -> None:
    """Given the lint stage, when its commands are held against the hooks, then each linter and validate is a hook, and no other."""
    (validate,) = [step.script for step in scripts() if step.stage == "lint" and "dataops validate" in step.script]
    (style,) = [step.script for step in scripts() if step.stage == "lint" and "test_style.py" in step.script]
    assert style.startswith(".venv/bin/pytest tests/unit/repository/test_style.py"), "which runs LINTERS"
    linted = {" ".join(command) for command in LINTERS.values()}
    assert {hook["entry"].removeprefix(PROGRAMS) for hook in HOOKS} == linted | {
        validate.removeprefix(PROGRAMS).removesuffix(" --junit validate.xml")
    }


@pytest.mark.skipif(find_spec("pre_commit") is None, reason="pre-commit is not installed: pip install -e '.[dev]'")
def test_pre_commit_stops_a_commit_without_a_network(tmp_path: Path) -> None:
    """Given a repository with the hooks, when a file is staged, then its hooks run, and a file that a linter refuses fails."""
    for name in (CONFIG.name, ".yamllint", ".gitignore", "ruff.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / PROGRAMS).mkdir(parents=True)
    for name in ("ruff", "yamllint"):
        program = tmp_path / PROGRAMS / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m {name} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment = {**os.environ, **nowhere, "PRE_COMMIT_HOME": str(tmp_path / "cache")}
    environment = {name: value for name, value in environment.items() if not name.startswith("GIT_")}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert run("git", "init", "--quiet").returncode == 0
    for file, right, wrong in (("a.yml", "a: 1\n", "a:   1\n"), ("a.py", "A = 1\n", "import os\n")):
        for text, code in ((right, 0), (wrong, 1)):
            (tmp_path / file).write_text(text, encoding="utf-8")
            run("git", "add", file)
            done = run(sys.executable, "-m", "pre_commit", "run")
            assert done.returncode == code, done.stdout + done.stderr
            assert "Passed" in done.stdout if code == 0 else "Failed" in done.stdout
        run("git", "rm", "--quiet", "--force", file)
