"""Draws the diagrams of the pages from their mermaid text, for the site, which loads nothing from another host.

Knows what the pages use of mermaid: `flowchart` with boxes, chains of arrows and labels on them, and `erDiagram` with
columns and relations; anything else is an error. Boxes stand in layers, each behind all that lead to it: from left to
right where that fits a page, else from top to bottom.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

PAGE_WIDTH = 760
LETTER, LINE, PADDING = 7.4, 18, 12
BETWEEN_LAYERS, BETWEEN_BOXES = 52, 22
SWEEPS = 24
DATA, DECISION, ENTITY = "data", "decision", "entity"
DOTTED, HIDDEN = "-.->", "~~~"
_NAME = r"[A-Za-z_]\w*(?:-\w+)*"
_NODE = re.compile(rf"({_NAME})(\[\(.*?\)\]|\[.*?\]|\{{\{{.*?\}}\}})?")
_ARROW = re.compile(r"\s+(-->|-\.->|~~~)(?:\|([^|]*)\|)?\s+")
_RELATION = re.compile(r'(\w+) [|o}]+--[|o{]+ (\w+) : "(\w+)"')
_COLUMN = re.compile(r"(\w+) \{(\w+) (\w+)\}")
_SHAPES = {"[(": DATA, "{{": DECISION}


class Unreadable(ValueError):
    """A line of a diagram that this does not know."""


@dataclass(frozen=True)
class Arrow:
    """From one box to another."""

    start: str
    end: str
    label: str = ""
    style: str = "-->"


@dataclass
class Box:
    """What stands in a box, how it looks, and where its middle is once it has a place."""

    lines: list[str]
    kind: str = ""
    x: float = 0
    y: float = 0

    @property
    def width(self) -> float:
        return max(map(len, self.lines)) * LETTER + 2 * PADDING if self.lines else 0

    @property
    def height(self) -> float:
        return len(self.lines) * LINE + PADDING if self.lines else 0


@dataclass(frozen=True)
class Diagram:
    """Boxes by name, and arrows."""

    boxes: dict[str, Box]
    arrows: list[Arrow]


def read(text: str) -> Diagram:
    """The boxes and arrows of a diagram, without places; raises Unreadable."""
    head, *lines = [line.strip() for line in text.strip().splitlines()]
    diagram = Diagram({}, [])
    if head not in ("flowchart LR", "erDiagram"):
        raise Unreadable(head)
    for line in lines:
        (_read_chain if head == "flowchart LR" else _read_entity)(line, diagram)
    return diagram


def _read_chain(line: str, diagram: Diagram) -> None:
    place, last, arrow = 0, "", None
    while node := _NODE.match(line, place):
        name, shape = node.groups()
        box = diagram.boxes.setdefault(name, Box([name]))
        if shape:
            kind = _SHAPES.get(shape[:2], "")
            box.kind, box.lines = kind, (shape[2:-2] if kind else shape[1:-1]).split("\\n")
        if arrow:
            diagram.arrows.append(Arrow(last, name, arrow[2] or "", arrow[1]))
        last, place = name, node.end()
        if place == len(line):
            return
        arrow = _ARROW.match(line, place)
        if arrow is None:
            break
        place = arrow.end()
    raise Unreadable(line)


def _read_entity(line: str, diagram: Diagram) -> None:
    if relation := _RELATION.fullmatch(line):
        start, end, label = relation.groups()
        diagram.arrows.append(Arrow(start, end, label))
        names: Sequence[str] = (start, end)
    elif column := _COLUMN.fullmatch(line):
        names = (column[1],)
    else:
        raise Unreadable(line)
    for name in names:
        diagram.boxes.setdefault(name, Box([name], ENTITY))
    if not relation:
        diagram.boxes[names[0]].lines.append(f"{column[3]}  {column[2]}")


def layers_of(diagram: Diagram) -> dict[str, int]:
    """The layer of each box: behind all that lead to it, and a first one just before what it leads to."""
    before: dict[str, set[str]] = {name: set() for name in diagram.boxes}
    for arrow in diagram.arrows:
        before[arrow.end].add(arrow.start)
    layers: dict[str, int] = {}
    for name in TopologicalSorter(before).static_order():
        layers[name] = max((layers[each] + 1 for each in before[name]), default=0)
    for name in (each for each, others in before.items() if not others):
        after = [layers[arrow.end] for arrow in diagram.arrows if arrow.start == name]
        layers[name] = min(after, default=1) - 1
    return layers


@dataclass(frozen=True)
class Layout:
    """A diagram whose boxes have places; `ways` are the points that each arrow passes, by its place among the arrows."""

    diagram: Diagram
    ways: list[list[Box]]
    width: float
    height: float
    is_upright: bool


def lay_out(diagram: Diagram) -> Layout:
    """Give every box its place, and every arrow a way between the boxes of the layers that it passes."""
    layers = layers_of(diagram)
    rows: list[list[Box]] = [[] for _ in range(max(layers.values()) + 1)]
    for name, layer in layers.items():
        rows[layer].append(diagram.boxes[name])
    ways = []
    for arrow in diagram.arrows:
        passed = [Box([]) for _ in range(layers[arrow.start] + 1, layers[arrow.end])]
        for place, point in enumerate(passed, layers[arrow.start] + 1):
            rows[place].append(point)
        ways.append([diagram.boxes[arrow.start], *passed, diagram.boxes[arrow.end]])
    longest = max((len(arrow.label) for arrow in diagram.arrows), default=0) * LETTER
    gap = max(BETWEEN_LAYERS, longest + 24)
    is_upright = sum(max(box.width for box in row) + gap for row in rows) - gap > PAGE_WIDTH
    _order(rows, ways)
    at = 0.0
    for row in rows:
        deep = max(box.height if is_upright else box.width for box in row)
        for box in row:
            _put(box, at + deep / 2, is_upright)
        at += deep + (BETWEEN_LAYERS if is_upright else gap)
    _spread(rows, ways, is_upright)
    boxes = [box for row in rows for box in row]
    left, top = min(box.x - box.width / 2 for box in boxes), min(box.y - box.height / 2 for box in boxes)
    for box in boxes:
        box.x, box.y = box.x - left + 2, box.y - top + 2
    width = max(box.x + box.width / 2 for box in boxes) + 2
    return Layout(diagram, ways, width, max(box.y + box.height / 2 for box in boxes) + 2, is_upright)


def _put(box: Box, along: float, is_upright: bool) -> None:
    if is_upright:
        box.y = along
    else:
        box.x = along


def _neighbours(ways: Sequence[Sequence[Box]]) -> dict[int, list[Box]]:
    found: dict[int, list[Box]] = {}
    for way in ways:
        for one, other in pairwise(way):
            found.setdefault(id(one), []).append(other)
            found.setdefault(id(other), []).append(one)
    return found


def _order(rows: list[list[Box]], ways: Sequence[Sequence[Box]]) -> None:
    """Sort each layer by the mean place of what a box is joined to, there and back, so that few arrows cross."""
    near = _neighbours(ways)
    for sweep in range(SWEEPS):
        places = {id(box): (place + 0.5) / len(row) for row in rows for place, box in enumerate(row)}
        for row in rows if sweep % 2 else reversed(rows):
            row.sort(key=lambda box: _mean([places[id(each)] for each in near.get(id(box), ())], places[id(box)]))
            places |= {id(box): (place + 0.5) / len(row) for place, box in enumerate(row)}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _spread(rows: list[list[Box]], ways: Sequence[Sequence[Box]], is_upright: bool) -> None:
    """Move the boxes of each layer towards what they are joined to, as far as their neighbours leave room."""
    near = _neighbours(ways)

    def across(box: Box) -> float:
        return box.x if is_upright else box.y

    def size(box: Box) -> float:
        return (box.width if is_upright else box.height) + BETWEEN_BOXES

    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 else reversed(rows):
            wanted = [_mean([across(each) for each in near.get(id(box), ())], across(box)) for box in row]
            found: list[float] = []
            for place, box in enumerate(row):
                least = found[-1] + (size(row[place - 1]) + size(box)) / 2 if found else wanted[0]
                found.append(max(wanted[place], least))
            moved = _mean([want - have for want, have in zip(wanted, found, strict=True)], 0)
            for box, have in zip(row, found, strict=True):
                _put(box, have + moved, not is_upright)


def draw(text: str, title: str) -> str:
    """The picture of a diagram as SVG in the colours of the page around it; raises Unreadable."""
    layout = lay_out(read(text))
    width, height = round(layout.width), round(layout.height)
    size = f'viewBox="0 0 {width} {height}" width="{width}" style="max-width:100%;height:auto"'
    look = 'fill="none" stroke="currentColor" font-size="13" class="diagram"'
    head = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"'
    mark = re.sub(r"\W+", "-", title.lower())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label={quoteattr(title)} {look} {size}>',
        f'<marker id="{mark}" {head}><path d="M0 0L8 4L0 8z" fill="currentColor" stroke="none"/></marker>',
        *_ways(layout, mark),
        *(_box(box) for box in layout.diagram.boxes.values()),
        *_labels(layout),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _ways(layout: Layout, mark: str) -> Iterator[str]:
    for arrow, way in zip(layout.diagram.arrows, layout.ways, strict=True):
        if arrow.style != HIDDEN:
            points = _points(way, layout.is_upright)
            curves = "".join(_curve(one, other, layout.is_upright) for one, other in pairwise(points))
            dots = ' stroke-dasharray="4 4"' if arrow.style == DOTTED else ""
            (x, y) = points[0]
            yield f'<path d="M{x:.0f} {y:.0f}{curves}" marker-end="url(#{mark})"{dots}/>'


def _points(way: Sequence[Box], is_upright: bool) -> list[tuple[float, float]]:
    """Out of the first box on the side of the last, through the middles of what is passed."""
    first, *passed, last = way
    middles = [(box.x, box.y) for box in passed]
    if is_upright:
        return [(first.x, first.y + first.height / 2), *middles, (last.x, last.y - last.height / 2)]
    return [(first.x + first.width / 2, first.y), *middles, (last.x - last.width / 2, last.y)]


def _curve(one: tuple[float, float], other: tuple[float, float], is_upright: bool) -> str:
    (x1, y1), (x2, y2) = one, other
    if is_upright:
        half = (y1 + y2) / 2
        return f"C{x1:.0f} {half:.0f} {x2:.0f} {half:.0f} {x2:.0f} {y2:.0f}"
    half = (x1 + x2) / 2
    return f"C{half:.0f} {y1:.0f} {half:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"


def _labels(layout: Layout) -> Iterator[str]:
    """On the first stretch of an arrow, with the page's colour around the letters."""
    halo = 'font-size="11" style="stroke:var(--md-default-bg-color,#fff);stroke-width:5px;paint-order:stroke"'
    for arrow, way in zip(layout.diagram.arrows, layout.ways, strict=True):
        if arrow.label:
            (x1, y1), (x2, y2) = _points(way, layout.is_upright)[:2]
            at = f'x="{(x1 + x2) / 2:.0f}" y="{(y1 + y2) / 2 + 4:.0f}"'
            yield f'<text {at} text-anchor="middle" fill="currentColor" {halo}>{escape(arrow.label)}</text>'


def _box(box: Box) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    fill = "var(--md-accent-fg-color--transparent, #ddf4ff)" if box.kind == DATA else "var(--md-code-bg-color, #f6f8fa)"
    corner = box.height / 2 if box.kind == DECISION else 6
    frame = f'<rect x="{left:.0f}" y="{top:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="{corner:.0f}"'
    lines = [f'{frame} fill="{fill}" stroke-opacity="0.6"/>']
    for number, line in enumerate(box.lines):
        is_column = box.kind == ENTITY and number > 0
        x, anchor = (left + PADDING, "start") if is_column else (box.x, "middle")
        weight = "" if number else ' font-weight="600"'
        at = f'x="{x:.0f}" y="{top + PADDING / 2 + LINE * (number + 0.72):.0f}" text-anchor="{anchor}"'
        lines.append(f'<text {at} fill="currentColor" stroke="none"{weight}>{escape(line)}</text>')
    return "\n".join(lines)


def diagrams_in(markdown: str) -> Mapping[str, str]:
    """The mermaid text of each diagram of a page -> the heading above it."""
    found, heading, fence = {}, "", re.compile(r"^(#+ ([^\n]+)|```mermaid\n(.*?)^```$)", re.MULTILINE | re.DOTALL)
    for match in fence.finditer(markdown):
        heading = match[2] or heading
        if match[3]:
            found[match[3]] = heading
    return found
