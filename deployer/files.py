"""Writes a file that the operator names, replacing its content; the content is up to the caller.

Whether it can be written is asked first: a plan or a review takes minutes.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deployer.errors import DataopsError, UsageError

_NEXT: Final = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f) and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EROFS: "choose a location that is writable",
    errno.EACCES: "choose a location that you have access to, or change its permissions",
    errno.EPERM: "choose a location that you have access to, or change its permissions",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.ENOENT: "create its folder first, or choose another location",
    errno.ENOTDIR: "create its folder first, or choose another location",
    errno.EISDIR: "give the name of a file",
}


def explain_file(error: OSError) -> DataopsError | None:
    """Return what an operator can do about a file that cannot be used; None if it is not about files, which is a bug."""
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
        raise UsageError(f"there is no folder {path.parent}", hint="create it first, or choose another file")


def write_file(path: Path, text: str) -> None:
    """Write a text to what is there: a file is replaced in one step, a link is followed, a device or a pipe written to.

    An OSError names the file.
    """
    with name_in_errors(path):
        status = path.stat() if path.exists() else None
        if status is not None and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if status is not None and (not stat.S_ISREG(status.st_mode) or status.st_nlink > 1):
            _write_into(path, text)
        else:
            _write_beside(path.resolve(), text, stat.S_IMODE(status.st_mode) if status else 0o666 & ~_umask())


def _write_into(path: Path, text: str) -> None:
    """Overwrite in place, for what must remain the same file: a device, a pipe, a file with a second name."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)


def _write_beside(path: Path, text: str, mode: int) -> None:
    """Write beside the file, then take its place: a reader never finds half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    beside = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        beside.chmod(mode)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
