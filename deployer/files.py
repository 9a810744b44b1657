"""Writes a file so that a reader never finds half of it; what is in it is the caller's business.

Whether it can be written is asked first: a plan or a review takes minutes.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from deployer.errors import UsageError


def require_folder(path: Path | None) -> None:
    """Raise UsageError when a file that will be written has no folder. None: nothing will be written."""
    if path is not None and not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", hint="make it first, or name another file")


def write_atomically(path: Path, text: str) -> None:
    """Write the text beside the file, then take its place in one step."""
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
