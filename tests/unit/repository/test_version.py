"""The version stands once, in deployer/version.py: the package, the command line and the changelog say the same."""

from __future__ import annotations

import re
from configparser import ConfigParser
from datetime import date

import pytest
from repository import ROOT

from deployer.cli import run
from deployer.version import VERSION

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
VERSIONS = re.findall(r"^## (\d+)\.(\d+)\.(\d+) - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)


def test_one_version_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Given setup.cfg, the changelog and the command line, when they are read, then they have one version."""
    setup = ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert setup["metadata"]["version"] == "attr: deployer.version.VERSION"
    assert ".".join(VERSIONS[0][:3]) == VERSION
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"dataops {VERSION}\n"


def test_the_changelog_is_by_version() -> None:
    """Given the changelog, when its headings are read, then what is not out yet comes first, then versions, newest first."""
    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert headings[0] == "Unreleased" and len(headings) == len(VERSIONS) + 1
    numbers = [tuple(map(int, each[:3])) for each in VERSIONS]
    days = [date.fromisoformat(each[3]) for each in VERSIONS]
    assert len(VERSIONS) > 1 and numbers == sorted(set(numbers), reverse=True) and days == sorted(days, reverse=True)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= kinds
