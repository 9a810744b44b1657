"""Links below a project: their targets become part of a release, so they may not lead outside of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def link_problem(root: Path, path: Path) -> str | None:
    """Return what is wrong with a path of the project at `root`, or with anything below it; None when it may be released.

    A link may lead to a file within the project. One that leads elsewhere would put a file of this machine into the
    release; one to a directory is left out by whoever lists files, so that what it holds would be missing.
    """
    for found in _with_all_below(path):
        shown = found.relative_to(root).as_posix()
        target = found.resolve()
        if not target.is_relative_to(root.resolve()):
            return f"{shown} leads outside of the project, to {target}; replace it with the file itself"
        if found != path and found.is_symlink() and not target.is_file():
            return f"{shown} is a link to {'a directory' if target.is_dir() else 'nothing'}; replace it with the files themselves"
    return None


def _with_all_below(path: Path) -> Iterator[Path]:
    yield path
    for folder, directories, files in os.walk(path):
        yield from (Path(folder) / name for name in sorted((*directories, *files)))
