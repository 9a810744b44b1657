"""Turns a check's SQL into the statement that Athena runs: facts as literals, and no more rows than a report needs.

A check names its parameters :day, :next_day, :first_month, :last_month and :threshold, and may read the table
published_rows, which is put in front of it as a list of literals.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

from refunds_checks.arrivals import Skipped
from refunds_checks.facts import Facts
from refunds_checks.registry import Check

MOST_ROWS: Final = 100
"""A report shows so many offending rows at most; it counts all."""
COUNT_COLUMN: Final = "offending_rows"
PUBLISHED_ROWS: Final = "published_rows"
_FOR_UTC_ONLY: Final = frozenset({"month_mismatches"})
_PARAMETER: Final = re.compile(r"(?<![\w:]):([a-z_]+)")
_COMMENT: Final = re.compile(r"^\s*--[^\n]*\n", re.MULTILINE)


def statement(check: Check, facts: Facts) -> str:
    """Return the statement that selects the offending rows, each with the count of all. Raise Skipped, see `with_facts`."""
    sql = with_facts(check, facts)
    return f"select offending.*, count(*) over () as {COUNT_COLUMN}\nfrom (\n{sql}\n) as offending\nlimit {MOST_ROWS}"


def with_facts(check: Check, facts: Facts) -> str:
    """Return the check's own SQL with its facts filled in. Raise Skipped if there is nothing to check."""
    assert check.sql is not None
    sql = _COMMENT.sub("", check.sql).strip()
    asked = set(_PARAMETER.findall(sql))
    if check.name in _FOR_UTC_ONLY and facts.reporting_time_zone not in (None, "UTC"):
        raise Skipped(f"the reporting time zone is {facts.reporting_time_zone}, the check supports only UTC")
    if asked & {"first_month", "last_month"} and not facts.months:
        raise Skipped(f"no run wrote a month for {facts.day}")
    if PUBLISHED_ROWS in sql:
        sql = f"with\n{_published_rows(facts)},\n" + sql.removeprefix("with\n")
    values = _values(check, facts)
    return _PARAMETER.sub(lambda found: values[found[1]], sql)


def _published_rows(facts: Facts) -> str:
    if not facts.published:
        raise Skipped("no run has published anything")
    rows = (f"({_text(table)}, {_text(month)}, {rows})" for (table, month), rows in sorted(facts.published.items()))
    listed = ",\n    ".join(rows)
    return f"{PUBLISHED_ROWS} (source_table, month, table_rows) as (\n    values\n    {listed}\n)"


def _values(check: Check, facts: Facts) -> Mapping[str, str]:
    months = facts.months or ("", "")
    return {
        "day": _moment(facts.day),
        "next_day": _moment(facts.day + timedelta(days=1)),
        "first_month": _text(months[0]),
        "last_month": _text(months[-1]),
        "threshold": f"{check.threshold:g}" if check.threshold is not None else "null",
    }


def _moment(day: date) -> str:
    return f"timestamp '{day} 00:00:00'"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
