"""The worked examples of CONTRIBUTING.md, put into a copy of the project from its own text.

tests/local/test_new_column.py deploys the second one.
"""

from __future__ import annotations

import json
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from refunds_checks.facts import Facts
from refunds_checks.registry import load_checks
from refunds_checks.statements import with_facts
from sql_harness import Lake, purchase, refund, void
from worked_examples import CHECK, COLUMN, add_column, blocks, change

from deployer.blueprint import blueprint_files
from deployer.cli import run

RECORDS = [
    purchase("P1", "2025-01-10", "anna"),
    purchase("P2", "2025-01-10", "ben"),
    refund("R1", "2025-02-01", "P1"),
    refund("R2", "2025-02-01", "P1", "2.50"),
    refund("R3", "2025-01-20", "P1"),
    refund("R4", "2025-02-03", "P2"),
    void("V1", "P2"),
]
DAY = Facts(day=date(2025, 2, 1), months=("2025-01", "2025-02"), published={})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A fresh copy of the project's files."""
    for path, source in blueprint_files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tmp_path / path)
    return tmp_path


def test_a_check_is_added(project: Path) -> None:
    """Given the example's query and entry, when they are put in, then validate passes and the check fires only above."""
    query, damage, no_damage = blocks(CHECK, "sql")
    (entry,) = blocks(CHECK, "json")
    folder = project / "athena/checks"
    (folder / "large_refunds.sql").write_text(query, encoding="utf-8")
    table = json.loads((folder / "checks.json").read_text(encoding="utf-8"))
    table["checks"].append(json.loads(entry))
    (folder / "checks.json").write_text(json.dumps(table), encoding="utf-8")
    assert run(["--project-dir", str(project), "validate", "--strict"]) == 0
    (check,) = [each for each in load_checks(folder) if each.name == "large_refunds"]
    for damaging, found in ((damage, [("R1", Decimal("5000.01"))]), (no_damage, [])):
        lake = Lake(RECORDS)
        assert lake.query(with_facts(check, DAY)) == []
        lake.connection.execute(damaging)
        assert [row[:2] for row in lake.query(with_facts(check, DAY))] == found


def test_a_column_is_added(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given the example's changes, when they are put in, then they fit the project as it is now, and validate finds nothing."""
    add_column(project)
    assert run(["--project-dir", str(project), "validate", "--strict"]) == 0, capsys.readouterr()


def test_half_of_it_is_found_out(project: Path) -> None:
    """Given the report's query in the template, without the artifact that feeds it, when the project is validated, then it fails."""
    (half,) = [part for diff in blocks(COLUMN, "diff") for part in diff.split("--- a/")[1:] if "athena.yaml" in part]
    change(project, [f"--- a/{half}"])
    assert run(["--project-dir", str(project), "validate"]) == 1
