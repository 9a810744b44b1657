"""stdout and stderr as a command finds them: closed, full, without a reader, or with an encoding that is too narrow.

What is written is the business of output.py; here only what becomes of it when it cannot be written.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO

from deployer.errors import DataopsError


class Talk(io.TextIOWrapper):
    """stderr. Nothing ends because its progress cannot be read: what cannot be written is lost."""

    def write(self, text: str, /) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


class Results(io.TextIOWrapper):
    """stdout. Raise DataopsError for what cannot be written; a reader that has gone away has what it wanted."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except UnicodeEncodeError as error:
            unknown = ascii(error.object[error.start : error.end])
            hint = "PYTHONIOENCODING=utf-8 in the environment, or write to a file"
            raise DataopsError(f"stdout is {self.encoding}, which lacks {unknown}", hint=hint) from error
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Let what is buffered go nowhere, so that the interpreter's own flush at the end has nothing to say."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        if not isinstance(error, BrokenPipeError):
            hint = "check where the output goes, then run the same command again"
            raise DataopsError(f"cannot write to stdout: {error.strerror}", hint=hint) from error


def guard_streams() -> None:
    """Make a bad stdout or stderr end a command in one line at worst. Called once, by whoever owns the process."""
    # The next file to be opened would get the number of a closed stream. A closed stdout must still refuse what is written.
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        if not _is_open(number):
            os.dup2(os.open(os.devnull, mode), number)
    sys.stdout = _wrap(Results, sys.stdout, 1)
    sys.stderr = _wrap(Talk, sys.stderr, 2)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _wrap(kind: type[Results | Talk], stream: TextIO | None, number: int) -> TextIO:
    """Wrap the stream as `kind`; None means that Python found it closed."""
    if stream is None:
        return kind(open(number, "wb", closefd=False), encoding="utf-8")
    return kind(
        stream.buffer, encoding=stream.encoding, errors=stream.errors, line_buffering=bool(stream.line_buffering)
    )
