"""docs/aws-readiness.md: what it says a test shows, a test of that name shows."""

from __future__ import annotations

import re

import pytest
from repository import ROOT

PAGE = (ROOT / "docs" / "aws-readiness.md").read_text(encoding="utf-8")
ROWS = {row.split(":")[0].strip("| "): row for row in PAGE.splitlines() if re.match(r"\| [A-E]\d+\b", row)}
FILES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("finding", [name for name in ROWS if re.match(r"[AB]\d+ \((sure|likely)\)", name)])
def test_a_finding_of_weight_names_its_test(finding: str) -> None:
    """Given a sure or likely finding of what would stop or spoil a run, then its row names a file of tests."""
    assert re.search(r"`(tests/\w+/)?test_\w+\.py`", ROWS[finding].split(" | ")[2])


def test_the_named_tests_are_there() -> None:
    """Given the files and tests that the page names, then each is there, and a test stands in a file that its row names."""
    for finding, row in ROWS.items():
        files = [name.rpartition("/")[2] for name in re.findall(r"`((?:tests/\w+/)?test_\w+\.py)`", row)]
        assert set(files) <= set(FILES), finding
        for name in re.findall(r"`(test_\w+)`", row):
            assert any(f"def {name}(" in FILES[file] for file in files), f"{finding}: {name}"
