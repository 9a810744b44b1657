"""The pictures are what their source draws, in light and dark, and the README shows them."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from xml.etree import ElementTree

import pytest
from repository import ROOT

PICTURES = ROOT / "docs" / "pictures"


@pytest.fixture(scope="module")
def flow() -> ModuleType:
    spec = importlib.util.spec_from_file_location("flow", PICTURES / "flow.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["flow"] = module
    spec.loader.exec_module(module)
    return module


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
