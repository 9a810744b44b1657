"""Every link in the repository's pages leads to a file that is there, and to a heading of it; mkdocs judges those of the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_agent import repository_files
from repository import ROOT

PAGES = sorted(file for file in repository_files(ROOT) if file.suffix == ".md")
LINK = re.compile(r"(?:\]\(|\b(?:src|srcset|href)=\")([^)\"\s]+)[)\"]")
ELSEWHERE = ("http://", "https://", "mailto:")


def links(page: Path) -> Iterator[str]:
    """The targets in a page's text; code shows links and has none."""
    text = re.sub(
        r"^( *)```.*?^\1```$|`[^`\n]*`", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    yield from (target for target in LINK.findall(text) if not target.startswith(ELSEWHERE))


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_link_leads_somewhere(page: Path) -> None:
    """Given a page, when its links are followed, then each file is there, and has the heading that is named."""
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_links_are_found() -> None:
    """Given the README, when its links are gathered, then pictures and pages are among them; elsewhere is not followed."""
    found = set(links(Path("README.md")))
    assert {"docs/pictures/flow-dark.svg", "docs/pictures/flow-light.svg", "docs/start.md"} <= found
