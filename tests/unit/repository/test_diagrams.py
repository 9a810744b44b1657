"""The diagrams of docs/architecture.md show the tables, the stages and the stacks that there are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from graphlib import TopologicalSorter
from itertools import pairwise

from pipeline import stages
from refunds_lake.schema.columns import TABLES
from repository import ROOT

from deployer.project.config import load_project
from deployer.project.templates import load_templates
from deployer.project.wiring import wire

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


def test_every_stack_stands_behind_those_that_it_needs() -> None:
    """Given the diagram of the layers, when its arrows are followed, then they lead to a stack from all that it needs, and no other."""
    section = PAGE.partition("## Layers and their order")[2].partition("\n## ")[0]
    drawn: dict[str, set[str]] = {}
    for chain in re.findall(r"^  (\S+(?: --> \S+)+)$", section, re.MULTILINE):
        stacks = chain.split(" --> ")
        for before, after in pairwise(stacks):
            drawn.setdefault(before, set())
            drawn.setdefault(after, set()).add(before)
    project = load_project(ROOT)
    wiring = wire(project, load_templates(project), project.environments["prod"])
    needed = {stack: set(wiring.parents(stack)) for stack in wiring.stacks}
    assert _with_ancestors(drawn) == _with_ancestors(needed)


def _with_ancestors(parents: Mapping[str, set[str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for stack in TopologicalSorter(parents).static_order():
        found[stack] = parents[stack].union(*(found[parent] for parent in parents[stack]))
    return found
