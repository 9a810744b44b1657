"""Which files may be delivered, and under which name: every file is checked before anything is sent.

How they travel is the business of routes.py, what is in them that of the job.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from refunds_lake.raw_files import FORMATS

from deployer.errors import UsageError

LARGEST_FILE_BYTES = 5 * 1024**3  # what S3 takes in one request
HASH_LETTERS = 8
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class BadFiles(UsageError):
    """Some of the files cannot be delivered; one line for each."""

    def __init__(self, problems: Sequence[str], *, hint: str) -> None:
        super().__init__(problems[0], hint=hint)
        self.problems = tuple(problems)

    def lines(self) -> Sequence[str]:
        """One line for each file."""
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
        stem = _UNSAFE.sub("_", self.path.name[: -len(self.suffix)]).lstrip("._") or "file"
        return f"{stem}-{content_hash(self.path)[:HASH_LETTERS]}{self.suffix}"


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
    if path.is_dir():
        return f"{path}: is a directory; name the files in it, as in {path}/*"
    if not path.exists():
        return f"{path}: no such file"
    if not path.is_file():
        return f"{path}: is no regular file"
    if not suffix_of(path):
        return f"{path}: unknown suffix; known are {', '.join(FORMATS)}"
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    if path.stat().st_size > LARGEST_FILE_BYTES:
        return f"{path}: is larger than 5 GiB; split it"
    return None


def suffix_of(path: Path) -> str:
    """Return the known suffix of a file's name, the longest that fits, or an empty text."""
    fitting = [suffix for suffix in FORMATS if path.name.endswith(suffix)]
    return max(fitting, key=len, default="")
