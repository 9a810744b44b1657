"""The diagrams of docs/architecture.md show the tables, the stages and the stacks that there are."""

from __future__ import annotations

import re

from pipeline import stages
from refunds_lake.schema.columns import TABLES
from repository import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TECHNICAL = {"ingested_at", "source_file"}


def test_the_tables_have_the_columns_of_the_schema() -> None:
    """Given the diagram of the base tables, when its columns are held against the schema, then they are the same, in order."""
    drawn: dict[str, list[str]] = {}
    for table, _, column in re.findall(r"^  (\w+) \{(\w+) (\w+)\}$", PAGE, re.MULTILINE):
        drawn.setdefault(table, []).append(column)
    wanted = {name: [column for column, _ in TABLES[name] if column not in TECHNICAL] for name in drawn}
    assert drawn == wanted and set(drawn) == set(TABLES) - {"rejected"}


def test_every_stage_of_the_pipeline_is_drawn() -> None:
    """Given the stages of azure-pipelines.yml, when the diagram of the pipeline is read, then each has its place."""
    section = PAGE.partition("## From a change to prod")[2].partition("\n## ")[0]
    names = {"test": "tests"}
    assert all(re.search(rf"\b{names.get(stage, stage)}\[", section) for stage in stages())
