"""Which files may be delivered, and under which names: every file is checked before anything is sent.

How they travel is the business of routes.py, what is in them that of the job.
"""

from __future__ import annotations

import errno
import hashlib
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from refunds_lake.schema.contract import FORMATS

from deployer.errors import UsageError
from deployer.printable import printable

LARGEST_FILE_BYTES = 5 * 1024**3  # what S3 takes in one request
HASH_LETTERS = 8
LONGEST_STEM = 128  # whoever copies the object to a file has 255 for the whole name
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class BadFiles(UsageError):
    """Some of the files cannot be delivered; one line for each."""

    def __init__(self, problems: Sequence[str], *, hint: str) -> None:
        super().__init__(problems[0], hint=hint)
        self.problems = tuple(problems)

    def lines(self) -> Sequence[str]:
        """Return one line for each file."""
        return self.problems


@dataclass(frozen=True)
class RawFile:
    """A file that may be delivered."""

    path: Path
    suffix: str
    size_bytes: int

    @property
    def format(self) -> str:
        """json, csv or parquet."""
        return FORMATS[self.suffix]

    def object_name(self) -> str:
        """Return the name of its object: the file's own with the first letters of its content's SHA-256.

        Other content never meets an existing name, and the same content always does.
        """
        return f"{self.stem()}-{content_hash(self.path)[:HASH_LETTERS]}{self.suffix}"

    def plain_name(self) -> str:
        """Return the file's own name, for senders that name their files themselves."""
        return f"{self.stem()}{self.suffix}"

    def stem(self) -> str:
        """Return the file's own name without its suffix, as it may stand in a key."""
        stem = _UNSAFE.sub("_", self.path.name[: -len(self.suffix)]).lstrip("._") or "file"
        return stem[:LONGEST_STEM]


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked_files(paths: Sequence[Path]) -> list[RawFile]:
    """Return the files in the given order, or raise BadFiles naming all that cannot be delivered."""
    problems = [problem for path in paths if (problem := problem_of(path)) is not None]
    if problems:
        hint = "nothing was delivered; correct or leave out these files and run the same command again"
        raise BadFiles(problems, hint=hint)
    return [RawFile(path, suffix_of(path), path.stat().st_size) for path in paths]


def problem_of(path: Path) -> str | None:
    """Say why a file cannot be delivered, None when it can."""
    shown = printable(str(path))
    try:
        status = path.stat()
    except OSError as error:
        is_missing = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
        return f"{shown}: no such file" if is_missing else f"{shown}: cannot be read: {error.strerror}"
    if stat.S_ISDIR(status.st_mode):
        return f"{shown}: is a directory; give the files in it, as in {shown}/*"
    if not stat.S_ISREG(status.st_mode):
        return f"{shown}: is not a regular file"
    if not suffix_of(path):
        return f"{shown}: unknown suffix; known are {', '.join(FORMATS)}"
    if status.st_size > LARGEST_FILE_BYTES:
        return f"{shown}: is larger than 5 GiB; split it"
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return f"{shown}: cannot be read: {error.strerror}"


def suffix_of(path: Path) -> str:
    """Return the known suffix of a file's name, the longest that fits, or an empty text."""
    fitting = [suffix for suffix in FORMATS if path.name.endswith(suffix)]
    return max(fitting, key=len, default="")
