"""Which SQL `dataops query` takes: what reads. Changing the tables is the job's business alone.

The rights of whoever asks are the guard; this stops a slip of somebody who has more.
"""

from __future__ import annotations

import re

from deployer.errors import Refused, UsageError

READING = frozenset({"describe", "desc", "explain", "select", "show", "table", "values", "with"})
_SKIPPED = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/|\()*", re.DOTALL)


def checked_sql(text: str) -> str:
    """Return SQL without the semicolon at its end. Raises UsageError when it is empty, Refused when it may change something."""
    sql = text.strip().removesuffix(";").rstrip()
    start = _SKIPPED.match(sql)
    word = re.match(r"\w*", sql[start.end() if start else 0 :])
    first = word.group().lower() if word else ""
    if not first:
        raise UsageError("there is no SQL to run", hint='dataops query --env ENV "select count(*) from refund"')
    if first not in READING:
        raise Refused(
            f"the statement begins with `{first}`, and query only reads",
            hint=f"it takes {', '.join(sorted(READING))}; the job alone writes the tables",
        )
    return sql
