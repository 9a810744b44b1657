"""The pictures are what their sources draw: the README's in light and dark, the pages' diagrams for the site."""

from __future__ import annotations

import importlib.util
import re
import sys
from itertools import combinations
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from repository import ROOT

PICTURES = ROOT / "docs" / "pictures"


DIAGRAMS = [page for page in (ROOT / "docs").rglob("*.md") if "```mermaid" in page.read_text(encoding="utf-8")]


def source(name: str) -> ModuleType:
    """A program that draws."""
    spec = importlib.util.spec_from_file_location(name, PICTURES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def flow() -> ModuleType:
    return source("flow")


@pytest.fixture(scope="module")
def diagrams() -> ModuleType:
    return source("diagrams")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_is_what_its_source_draws(flow: ModuleType, theme: str) -> None:
    """Given the source of the picture, when it is drawn again, then the file is the same: python docs/pictures/flow.py."""
    drawn = flow.draw(flow.THEMES[theme])
    assert (PICTURES / f"flow-{theme}.svg").read_text(encoding="utf-8") == drawn
    assert f"docs/pictures/flow-{theme}.svg" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert ElementTree.fromstring(drawn).find("{http://www.w3.org/2000/svg}title") is not None


def test_no_box_lies_on_another(flow: ModuleType) -> None:
    """Given the boxes, when their places are compared, then they are apart and within the picture."""
    places = {name: flow.place(name) for name in flow.BOXES}
    for name, (x, y) in places.items():
        assert x + flow.BOX_WIDTH <= flow.WIDTH and y + flow.BOX_HEIGHT <= flow.HEIGHT
        others = (other for other in places if other != name)
        assert all(abs(x - places[o][0]) > flow.BOX_WIDTH or abs(y - places[o][1]) > flow.BOX_HEIGHT for o in others)


def test_every_route_is_drawn(flow: ModuleType) -> None:
    """Given the five routes, when the arrows into the raw bucket are counted, then there is one for each."""
    assert sum(end == "raw" for _, end in flow.ARROWS) == 5
    assert {name for arrow in flow.ARROWS for name in arrow} == set(flow.BOXES)


@pytest.mark.parametrize("page", DIAGRAMS, ids=lambda page: page.name)
def test_a_diagram_shows_every_box_and_arrow(diagrams: ModuleType, page: Path) -> None:
    """Given the diagrams of a page, when they are drawn, then every word is there, every visible arrow, and no box on another."""
    found = diagrams.diagrams_in(page.read_text(encoding="utf-8"))
    assert len(found) == page.read_text(encoding="utf-8").count("```mermaid")
    for text, heading in found.items():
        picture = ElementTree.fromstring(diagrams.draw(text, heading))
        said = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
        layout = diagrams.lay_out(diagrams.read(text))
        words = [line for box in layout.diagram.boxes.values() for line in box.lines]
        labels = [arrow.label for arrow in layout.diagram.arrows if arrow.label]
        assert sorted(said) == sorted([*words, *labels]) and words and picture.get("aria-label") == heading
        visible = [arrow for arrow in layout.diagram.arrows if arrow.style != diagrams.HIDDEN]
        assert sum("marker-end" in each.attrib for each in picture.iter()) == len(visible)
        for one, other in combinations(layout.diagram.boxes.values(), 2):
            apart = abs(one.x - other.x) >= (one.width + other.width) / 2
            assert apart or abs(one.y - other.y) >= (one.height + other.height) / 2, (one.lines, other.lines)


def test_a_box_stands_behind_what_leads_to_it(diagrams: ModuleType) -> None:
    """Given a chain with a shortcut and a first box of its own, when layers are given, then arrows lead forward, and short."""
    layers = diagrams.layers_of(diagrams.read("flowchart LR\n  a --> b --> c\n  a --> c\n  late --> c"))
    assert layers == {"a": 0, "b": 1, "c": 2, "late": 1}


@pytest.mark.parametrize("line", ["a --> b;", "a ==> b", "a -->", "subgraph one", "a --> b{c}"])
def test_what_is_not_known_is_an_error(diagrams: ModuleType, line: str) -> None:
    """Given a line of mermaid that the pages do not use, when it is read, then it is an error and nothing is left out."""
    with pytest.raises(diagrams.Unreadable, match=re.escape(line)):
        diagrams.read(f"flowchart LR\n  {line}")
