"""Text from data and names as a terminal may have it: what it would act on, or would not show, is written out.

Talk, errors, tables and texts go through here; CSV and JSON are data and keep every character.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text in one line: control characters, line breaks and marks of direction as escapes, as in ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def printable_lines(text: str) -> str:
    """Return text with its lines and tabs, and nothing else that a terminal acts on."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
