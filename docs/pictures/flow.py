"""Draws the flow of data, once for light and once for dark pages: `python docs/pictures/flow.py` writes both files.

Boxes and arrows are the tables below; a test holds the two pictures equal to what this draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
WIDTH, HEIGHT = 960, 330
LEFT, BOX_WIDTH = 16, 152
TOP, GAP_Y, BOX_HEIGHT = 16, 62, 44
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
LETTER_HEIGHT = 14


@dataclass(frozen=True)
class Colours:
    """What a picture is drawn in."""

    text: str
    quiet: str
    line: str
    box: str
    data: str


THEMES = {
    "light": Colours("#1f2328", "#59636e", "#59636e", "#f6f8fa", "#ddf4ff"),
    "dark": Colours("#f0f6fc", "#9198a1", "#9198a1", "#151b23", "#0c2d6b"),
}

# name -> (column, row, title, what is below it, holds data)
BOXES: dict[str, tuple[float, float, str, str, bool]] = {
    "partner": (0, 0, "Partner's account", "role + ExternalId", False),
    "sftp": (0, 1, "SFTP", "AWS Transfer Family", False),
    "api": (0, 2, "HTTP API", "API Gateway, Lambda", False),
    "stream": (0, 3, "Producers", "Kinesis, Firehose", False),
    "tool": (0, 4, "Third-party tool", "role + ExternalId", False),
    "raw": (1, 2, "S3 raw", "append-only", True),
    "job": (2, 2, "Glue job", "PySpark, by cron", False),
    "base": (3, 1, "S3 base tables", "Parquet by month", True),
    "rejected": (3, 3, "rejected", "with every reason", True),
    "athena": (4, 1, "Athena", "refund report", False),
    "checks": (4, 3, "Daily validation", "metrics, alarms", False),
}
ARROWS = [
    ("partner", "raw"),
    ("sftp", "raw"),
    ("api", "raw"),
    ("stream", "raw"),
    ("tool", "raw"),
    ("raw", "job"),
    ("job", "base"),
    ("job", "rejected"),
    ("base", "athena"),
    ("base", "checks"),
]
TITLE = "From five routes into the raw bucket, through the Glue job, to base tables and the refund report"


def place(name: str) -> tuple[float, float]:
    """The upper left corner of a box."""
    column, row, *_ = BOXES[name]
    return LEFT + column * (WIDTH - BOX_WIDTH - 2 * LEFT) / 4, TOP + row * GAP_Y


def box(name: str, colours: Colours) -> str:
    _, _, title, below, holds_data = BOXES[name]
    x, y = place(name)
    middle = x + BOX_WIDTH / 2
    fill = colours.data if holds_data else colours.box
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="{fill}"'
        f' stroke="{colours.line}"/>\n'
        f'<text x="{middle:g}" y="{y + 19:g}" text-anchor="middle" fill="{colours.text}"'
        f' font-weight="600">{escape(title)}</text>\n'
        f'<text x="{middle:g}" y="{y + 35:g}" text-anchor="middle" fill="{colours.quiet}"'
        f' font-size="12">{escape(below)}</text>'
    )


def arrow(start: str, end: str, colours: Colours) -> str:
    """A curve from the right edge of a box to the left edge of another."""
    (x1, y1), (x2, y2) = place(start), place(end)
    x1, y1, x2, y2 = x1 + BOX_WIDTH, y1 + BOX_HEIGHT / 2, x2 - 5, y2 + BOX_HEIGHT / 2
    half = (x1 + x2) / 2
    path = f"M{x1:g} {y1:g}C{half:g} {y1:g} {half:g} {y2:g} {x2:g} {y2:g}"
    return f'<path d="{path}" fill="none" stroke="{colours.line}" stroke-width="1.5" marker-end="url(#head)"/>'


def draw(colours: Colours) -> str:
    """The whole picture."""
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="{FONT}" font-size="{LETTER_HEIGHT}"'
    head = 'id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title" {size}>',
        f'<title id="title">{escape(TITLE)}</title>',
        f'<marker {head}><path d="M0 0L8 4L0 8z" fill="{colours.line}"/></marker>',
        *(arrow(start, end, colours) for start, end in ARROWS),
        *(box(name, colours) for name in BOXES),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    for theme, colours in THEMES.items():
        (HERE / f"flow-{theme}.svg").write_text(draw(colours), encoding="utf-8")


if __name__ == "__main__":
    main()
