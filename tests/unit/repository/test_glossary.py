"""One word for one thing: the glossary's forbidden synonyms stand in no page, help text or message."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import ROOT

GLOSSARY = ROOT / "docs" / "glossary.md"
# Where a word is not ours: AWS's names, and what the words of the glossary themselves are made of.
WORDS = re.findall(r"^\| (\S[^|]*) \| ([^|]+) \| ([^|]+) \|$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)[2:]
FORBIDDEN = {synonym.strip(): word for word, _, others in WORDS for synonym in others.split(",")}


def texts() -> Iterator[Path]:
    """What people read: pages, the changelog, what programs and the pipeline say, and the templates' descriptions."""
    yield from (path for path in (ROOT / "docs").rglob("*.md") if path != GLOSSARY)
    yield from (ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md"))
    for folder in ("deployer", "functions", "glue", "benchmarks"):
        yield from (ROOT / folder).rglob("*.py")
    yield from (ROOT / "templates").rglob("*.yaml")
    yield from (ROOT / "benchmarks").rglob("*.md")
    yield from (ROOT / "azure-pipelines.yml", *(ROOT / ".ci").iterdir())


def prose(path: Path) -> str:
    """A page as it is; of a program what it says and what its docstrings say, without the names of code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    values = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    return "\n".join(value for value in values if isinstance(value, str) and " " in value)


def found_in(text: str, synonym: str) -> bool:
    """Whether a text has the synonym, at the start of a sentence too; names in the manner of code are no words."""
    forms = "|".join(map(re.escape, (synonym, synonym.capitalize(), synonym.upper())))
    return re.search(rf"(?<![\w-])(?:{forms})s?(?![\w-])", text) is not None


def test_the_glossary_is_a_table_in_order() -> None:
    """Given the glossary, when it is read, then its words are in order, once each, and each has what it is not called."""
    words = [word for word, _, _ in WORDS]
    assert len(words) > 15 and words == sorted(set(words))
    assert all(meaning.strip() and others.strip() for _, meaning, others in WORDS)


@pytest.mark.parametrize("synonym", FORBIDDEN)
def test_a_thing_has_one_name(synonym: str) -> None:
    """Given a forbidden synonym, when everything that people read is searched, then it is nowhere."""
    places = [path.relative_to(ROOT) for path in texts() if found_in(prose(path), synonym)]
    assert not places, f"say '{FORBIDDEN[synonym]}' for '{synonym}'"


def test_a_synonym_would_be_found() -> None:
    """Given a sentence with a synonym in plural or capitals, when it is searched, then it is found; a part of a word is not."""
    assert found_in("Two Changesets failed.", "changeset")
    assert not found_in("rerouted pathways-id", "pathway")
