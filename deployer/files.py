"""Writes a file so that a reader never finds half of it; what is in it is the caller's business.

Whether it can be written is asked first: a plan or a review takes minutes.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deployer.errors import DataopsError, UsageError

_NEXT: Final = {
    errno.ENOSPC: "free some space, then the same command again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), then the same command again",
    errno.EDQUOT: "free some space, then the same command again",
    errno.EROFS: "name a place that can be written",
    errno.EACCES: "name a place that you may use, or change its rights",
    errno.EPERM: "name a place that you may use, or change its rights",
    errno.ENAMETOOLONG: "name it more briefly",
    errno.ENOENT: "make its folder first, or name another place",
    errno.ENOTDIR: "make its folder first, or name another place",
    errno.EISDIR: "name a file",
}


def explain_file(error: OSError) -> DataopsError | None:
    """What an operator can do about a file that cannot be used; None when it is no matter of files, that is a bug."""
    if error.errno not in _NEXT:
        return None
    return DataopsError(error.strerror or "", where=error.filename and str(error.filename), hint=_NEXT[error.errno])


@contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
    """Let an error of the machine name this path: a full disk names none, a file beside it means nothing to the reader."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def require_folder(path: Path | None) -> None:
    """Raise UsageError when a file that will be written has no folder. None: nothing will be written."""
    if path is not None and not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", hint="make it first, or name another file")


def write_atomically(path: Path, text: str) -> None:
    """Write the text beside the file, then take its place in one step. An OSError names the file."""
    with name_in_errors(path):
        _write_beside(path, text)


def _write_beside(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    beside = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        beside.chmod(0o644 & ~_umask())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
