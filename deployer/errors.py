"""The errors an operator can act on: each says where, what and what next, and carries the exit code of its kind.

Anything else that is raised is a bug and keeps its traceback; how errors are printed is cli.py's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Location:
    """A place in a file; prints as ``dataops.yml:14:5`` (1-based), the column only when it is known."""

    file: str
    line: int
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


class DataopsError(Exception):
    """Something failed, and the message says what to do about it."""

    exit_code: int = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message

    def lines(self) -> Sequence[str]:
        """Return one line for each problem."""
        return (str(self),)


class UsageError(DataopsError):
    """The command line asks for something that does not exist."""

    exit_code = 2


class ConfigError(DataopsError):
    """dataops.yml or a file that it names is wrong; `others` are further problems of the same file."""

    exit_code = 2

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None, others: Sequence[ConfigError] = ()
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.others = tuple(others)

    def lines(self) -> Sequence[str]:
        return (str(self), *(line for other in self.others for line in other.lines()))


class SmokeTestFailed(DataopsError):
    """The deployed lakehouse does not give the known answer."""

    exit_code = 4


class Locked(DataopsError):
    """Somebody else is deploying to this environment."""

    exit_code = 5


class Refused(DataopsError):
    """A guard stopped the command before it could do harm."""

    exit_code = 6


class Denied(Refused):
    """AWS says that these credentials have no right to it, or does not know of the right yet."""
