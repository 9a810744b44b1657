"""Which SQL `dataops query` accepts: statements that only read. Only the job changes the tables.

The caller's permissions are the real guard; this prevents mistakes by a caller who has more.
"""

from __future__ import annotations

import re

from deployer.errors import Refused, UsageError

READING = frozenset({"describe", "desc", "explain", "select", "show", "table", "values", "with"})
_SKIPPED = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/|\()*", re.DOTALL)


def checked_sql(text: str) -> str:
    """Return SQL without a final semicolon. Raise UsageError if it is empty, Refused if it may change something."""
    sql = text.strip().removesuffix(";").rstrip()
    start = _SKIPPED.match(sql)
    word = re.match(r"\w*", sql[start.end() if start else 0 :])
    first = word.group().lower() if word else ""
    if not first:
        raise UsageError("there is no SQL to run", hint='dataops query --env ENV "select count(*) from refund"')
    if first not in READING:
        raise Refused(
            f"the statement begins with `{first}`, but query only reads",
            hint=f"it accepts {', '.join(sorted(READING))}; only the job writes the tables",
        )
    return sql
