"""What changed in earlier months since a statement was issued, and how much of it later statements have carried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from refunds_statements.lines import Line, difference
from refunds_statements.register import issued_lines, read_statements
from refunds_statements.snapshot import Source, changed_months, read_lines, require_unchanged, take_snapshot
from refunds_statements.statement import Statement


class NoStatement(Exception):
    """A month has no statement; the message says which months have one."""


@dataclass(frozen=True)
class Changes:
    """What differs now, in all months up to the statement's, from what was issued up to it."""

    statement: Statement
    run: str
    """The run whose tables were compared."""
    lines: tuple[Line, ...]
    carried: tuple[Line, ...]
    """What later statements have carried as adjustments."""

    @property
    def pending(self) -> tuple[Line, ...]:
        """The amount that the next statement will carry."""
        return difference(self.lines, self.carried)


def statement_of(statements: Sequence[Statement], month: str | None) -> Statement:
    """Return the statement of a month, or the last one. Raise NoStatement."""
    found = [each for each in statements if month in (None, each.month)]
    if not found:
        issued = f"issued are {statements[0].month} to {statements[-1].month}" if statements else "none is issued yet"
        raise NoStatement(f"there is no statement{f' of {month}' if month else ''}: {issued}")
    return found[-1]


def changes_since(source: Source, month: str | None) -> Changes:
    """Return what changed since the statement of a month, or the last one. Raise NoStatement, NothingLoaded, Unsettled."""
    statements = read_statements(source.store)
    statement = statement_of(statements, month)
    snapshot = take_snapshot(source)
    until, after = statements[: statement.number], statements[statement.number :]
    adjusted = {month for later in after for month in later.lines if month <= statement.month}
    months = changed_months(snapshot, statement.locations, statement.month) | adjusted
    now = read_lines(source, snapshot, months)
    require_unchanged(source, snapshot)
    lines = difference(now, issued_lines(source.store, until, months))
    return Changes(statement, snapshot.run, lines, tuple(sorted(issued_lines(source.store, after, months))))
