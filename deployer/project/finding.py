"""What is wrong, and where: the form in which the wiring and every other check report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deployer.errors import Location


class Level(StrEnum):
    """How bad it is; only an error fails the validation."""

    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"


@dataclass(frozen=True)
class Finding:
    """Something at a place."""

    file: str  #: its path, relative to the project
    line: int  #: the first line is 1
    column: int | None  #: the first column is 1; null where only the line is known
    level: Level  #: how bad it is
    rule: str  #: cfn-lint's id, or the project's own name of the rule
    message: str  #: what is wrong
    hint: str | None = None  #: what to do

    @classmethod
    def at(cls, place: Location, level: Level, rule: str, message: str, hint: str | None = None) -> Finding:
        """Create a finding at a place."""
        return cls(place.file, place.line, place.column, level, rule, message, hint)

    @property
    def location(self) -> Location:
        """The place; findings are sorted by it."""
        return Location(self.file, self.line, self.column)

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.location}: {self.level} {self.rule}: {self.message}{hint}"
