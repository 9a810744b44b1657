"""The worked examples of CONTRIBUTING.md: the code blocks of a section, and its changes in a copy of the project."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from repository import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHECK = "Add a check to the daily validation"
COLUMN = "Add a column, from the record to a report"
REPORT = Path("athena/channel_refunds.sql")


def blocks(heading: str, language: str) -> list[str]:
    """The code blocks of a section in one language, in order, without the indentation of the list around them."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, heading
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", section[1], re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def change(project: Path, changes: Iterable[str]) -> None:
    """Apply diffs to a project, as `git apply` does; a diff that does not fit is an error."""
    patch = "".join(changes)
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(project.parent)}
    done = subprocess.run(
        ["git", "apply", "-"], cwd=project, input=patch, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"CONTRIBUTING.md's change no longer fits: {done.stderr}"


def add_column(project: Path) -> None:
    """The whole example of a new column: every diff of the section, and its SQL."""
    change(project, blocks(COLUMN, "diff"))
    (sql,) = blocks(COLUMN, "sql")
    (project / REPORT).write_text(sql, encoding="utf-8")
