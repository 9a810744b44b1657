"""Who runs this, on which commit: what the ledger records about a run besides its actions. Best effort, never a failure."""

from __future__ import annotations

import datetime as dt
import secrets
import subprocess
from pathlib import Path


def new_run_id(now: dt.datetime) -> str:
    """Return a unique run id that sorts by time, to the microsecond, and is valid in the name of a change set."""
    return f"{now:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}"


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def commit_of(directory: Path) -> str:
    """Return the commit of the checkout, with `+` when files differ from it; empty outside git."""
    commit = _git(directory, "rev-parse", "HEAD")
    if not commit:
        return ""
    return commit + ("+" if _git(directory, "status", "--porcelain") else "")


def _git(directory: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
