"""Finds the lakehouse's own files: templates, job, SQL and functions, installed with dataops or in its checkout.

A new project is a copy of them. pip puts them below `share/refunds-lakehouse` of its environment; setup.cfg lists them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deployer.errors import DataopsError

DISTRIBUTION = "refunds-lakehouse"
SHARE = f"share/{DISTRIBUTION}/"
CONFIG_FILE = "dataops.yml"
FOLDERS = ("athena", "functions", "glue", "templates")
SINGLE_FILES = (CONFIG_FILE, ".cfnlintrc", ".sqlfluff")
_LEFT_OUT = "__pycache__"


def blueprint_files() -> dict[str, Path]:
    """Return every file of a project: its path in the project -> where it is. Raise DataopsError if there are none."""
    files = _installed() or _checkout(Path(__file__).resolve().parents[1])
    if CONFIG_FILE not in files:
        hint = "install it from its wheel, or with -e from a checkout"
        raise DataopsError("this installation of dataops does not include templates, job and SQL", hint=hint)
    return files


def _installed() -> dict[str, Path]:
    from importlib import metadata  # slow to import

    try:
        listed = metadata.files(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    return {
        file.as_posix().partition(SHARE)[2]: Path(str(file.locate())).resolve()
        for file in listed
        if SHARE in file.as_posix()
    }


def _checkout(root: Path) -> dict[str, Path]:
    found = [root / name for name in SINGLE_FILES if (root / name).is_file()]
    found += [path for folder in FOLDERS for path in _below(root / folder)]
    return {path.relative_to(root).as_posix(): path for path in found}


def _below(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.rglob("*")) if path.is_file() and _LEFT_OUT not in path.parts)
