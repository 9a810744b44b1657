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
    """Something at a place (1-based). `rule` is cfn-lint's id, or a name of our own."""

    file: str
    line: int
    column: int | None
    level: Level
    rule: str
    message: str
    hint: str | None = None

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
