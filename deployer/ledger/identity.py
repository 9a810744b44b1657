"""Who runs this, on which commit: what the ledger says about a run besides what it did. Best effort, never a reason to fail."""

from __future__ import annotations

import datetime as dt
import secrets
import subprocess
from pathlib import Path


def new_run_id(now: dt.datetime) -> str:
    """Sorts by time, to the microsecond, never meets another one, and is a legal part of a change set's name."""
    return f"{now:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}"


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def commit_of(directory: Path) -> str:
    """The commit of the checkout, with `+` when files differ from it; empty outside git."""
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
