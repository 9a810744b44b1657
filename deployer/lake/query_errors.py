"""Where in a query Athena found an error: the line of the text, with a mark below the column.

Pure: Athena's message and the SQL come in, lines come out.
"""

from __future__ import annotations

import re

from deployer.printable import printable

_PLACE = re.compile(r"line (\d+):(\d+)")
WIDEST = 100  # a mark far to the right of the screen shows nothing


def place_of(message: str, sql: str) -> tuple[int, int] | None:
    """Return the line and column (from 1) that a message names; None if it names none in the text."""
    found = _PLACE.search(message)
    if found is None:
        return None
    line, column = int(found[1]), int(found[2])
    lines = sql.split("\n")
    return (line, column) if 1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1 else None


def marked(message: str, sql: str) -> list[str]:
    """Return the line of the SQL that a message names, with a caret below its column; nothing if it names none."""
    place = place_of(message, sql)
    if place is None:
        return []
    text, column = sql.split("\n")[place[0] - 1], place[1] - 1
    first = max(0, column - WIDEST // 2)
    shown, before = text[first : first + WIDEST], text[first:column]
    return [f"  {printable(shown)}", "  " + " " * len(printable(before)) + "^"]
