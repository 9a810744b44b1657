"""An installation has every package: setup.cfg lists them by hand, for they have two roots."""

from __future__ import annotations

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[2]


def packages_below(root: Path, package: str) -> set[str]:
    """Dotted names of all folders with an ``__init__.py`` in `package` below `root`."""
    return {".".join(file.parent.relative_to(root).parts) for file in (root / package).rglob("__init__.py")}


def test_every_package_is_listed_once() -> None:
    """Given the folders that are packages, then setup.cfg lists exactly these; an editable install would not notice."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = setup["options"]["packages"].split()
    assert sorted(listed) == sorted(packages_below(ROOT, "deployer") | packages_below(ROOT / "glue", "refunds_lake"))
