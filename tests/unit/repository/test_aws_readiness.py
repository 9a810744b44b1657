"""docs/aws-readiness.md: what it says a test shows, a test of that name shows."""

from __future__ import annotations

import re

import pytest
from repository import ROOT

PAGE = (ROOT / "docs" / "aws-readiness.md").read_text(encoding="utf-8")
ROWS = {row.split(":")[0].strip("| "): row for row in PAGE.splitlines() if re.match(r"\| [A-E]\d+\b", row)}
FILES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
NAME = r"`((?:tests/[\w/]+/)?test_\w+\.py)`"


def found_in(file: str) -> set[str]:
    """The tests of the files with this name, or of the one with this path."""
    texts = "".join(text for path, text in FILES.items() if f"/{path}".endswith(f"/{file}"))
    return set(re.findall(r"^def (test_\w+)\(", texts, re.MULTILINE))


@pytest.mark.parametrize("finding", [name for name in ROWS if re.match(r"[A-E]\d+ \((sure|likely)\b", name)])
def test_a_finding_of_weight_names_its_test(finding: str) -> None:
    """Given a sure or likely finding, then its row names a test, behind the file in which it stands."""
    shown_by = ROWS[finding].split(" | ")[2]
    tests = re.findall(rf"{NAME}, `(test_\w+)`", shown_by)
    assert tests and all(test in found_in(file) for file, test in tests), shown_by


def test_the_named_tests_are_there() -> None:
    """Given the files and tests that the page names, then each is there, and a test stands in a file that its row names."""
    for finding, row in ROWS.items():
        files = re.findall(NAME, row)
        assert all(found_in(file) for file in files), finding
        assert set(re.findall(r"`(test_\w+)`", row)) <= {test for file in files for test in found_in(file)}, finding
