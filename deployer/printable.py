"""Makes text from data and names safe for a terminal, alone or in columns: hidden and control characters are written out.

Talk, errors, tables and texts go through here; CSV and JSON are data and keep every character.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence


def printable(text: str) -> str:
    """Return text in one line: control characters, line breaks and marks of direction as escapes, as in ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def printable_lines(text: str) -> str:
    """Return text with its lines and tabs, but nothing else that a terminal acts on."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def aligned(rows: Sequence[Sequence[str] | None], *, right: Collection[int] = ()) -> list[str]:
    """Return rows as lines with columns of equal width, those of `right` aligned right; None draws a rule.

    The cells have to be printable already.
    """
    widths = [max(map(len, column)) for column in zip(*filter(None, rows), strict=True)]
    sides = [str.rjust if number in right else str.ljust for number in range(len(widths))]
    rule = ["-" * width for width in widths]
    return [
        "  ".join(side(cell, width) for side, cell, width in zip(sides, row or rule, widths, strict=True)).rstrip()
        for row in rows
    ]


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
