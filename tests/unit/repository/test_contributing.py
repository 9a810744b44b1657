"""The worked examples of CONTRIBUTING.md, executed from its own text in a copy of the project."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from refunds_checks.facts import Facts
from refunds_checks.registry import load_checks
from refunds_checks.statements import with_facts
from repository import ROOT
from sql_harness import Lake, purchase, refund, void

from deployer.blueprint import blueprint_files
from deployer.cli import run

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
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


def blocks(heading: str, language: str) -> Iterator[str]:
    """The code blocks of a section in one language, in order."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, heading
    yield from re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A fresh copy of the project's files."""
    for path, source in blueprint_files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tmp_path / path)
    return tmp_path


def test_a_check_is_added(project: Path) -> None:
    """Given the example's query and entry, when they are put in, then validate passes and the check fires only above."""
    heading = "Add a check to the daily validation"
    query, damage, no_damage = blocks(heading, "sql")
    (entry,) = blocks(heading, "json")
    folder = project / "athena/checks"
    (folder / "large_refunds.sql").write_text(query, encoding="utf-8")
    table = json.loads((folder / "checks.json").read_text(encoding="utf-8"))
    table["checks"].append(json.loads(entry))
    (folder / "checks.json").write_text(json.dumps(table), encoding="utf-8")
    assert run(["--project-dir", str(project), "validate", "--strict"]) == 0
    (check,) = [each for each in load_checks(folder) if each.name == "large_refunds"]
    for change, found in ((damage, [("R1", Decimal("5000.01"))]), (no_damage, [])):
        lake = Lake(RECORDS)
        assert lake.query(with_facts(check, DAY)) == []
        lake.connection.execute(change)
        assert [row[:2] for row in lake.query(with_facts(check, DAY))] == found


def below(text: str, key: str, block: str) -> str:
    """Put lines below a top-level key of a YAML file."""
    head, found, rest = text.partition(f"\n{key}:\n")
    assert found, key
    return f"{head}{found}{block}{rest}"


def test_a_column_comes_into_a_report(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given the example's SQL, artifact and template, when they are put in, then validate passes and the report is right."""
    heading = "Add a column to a report, from the record on"
    (sql,) = blocks(heading, "sql")
    artifact, parameter, resource = blocks(heading, "yaml")
    (project / "athena/merchant_refunds.sql").write_text(sql, encoding="utf-8")
    config, template = project / "dataops.yml", project / "templates/athena.yaml"
    config.write_text(below(config.read_text(encoding="utf-8"), "artifacts", artifact), encoding="utf-8")
    text = below(template.read_text(encoding="utf-8"), "Parameters", parameter)
    template.write_text(below(text, "Resources", resource), encoding="utf-8")
    assert run(["--project-dir", str(project), "--output", "json", "validate"]) == 0, capsys.readouterr().out
    rows = Lake(RECORDS).query(sql, ["2025-02"])
    merchant = RECORDS[0].merchant_id
    assert rows == [("anna", merchant, Decimal("12.50"))]


def test_half_of_it_is_found_out(project: Path) -> None:
    """Given the new parameter without the artifact that feeds it, when the project is validated, then it fails."""
    _, parameter, _ = blocks("Add a column to a report, from the record on", "yaml")
    template = project / "templates/athena.yaml"
    template.write_text(below(template.read_text(encoding="utf-8"), "Parameters", parameter), encoding="utf-8")
    assert run(["--project-dir", str(project), "validate"]) == 1
