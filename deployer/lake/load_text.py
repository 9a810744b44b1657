"""The result of a load as text."""

from __future__ import annotations

from collections.abc import Sequence

from deployer.lake.loads import Load
from deployer.lake.run_manifests import counts_text
from deployer.printable import printable

PROBLEMS_SHOWN = 20


def load_lines(load: Load) -> list[str]:
    """Say what was loaded, and which files could not be read."""
    if load.nothing_new:
        nothing = "nothing new: every readable raw file is already in the tables"
        return [nothing, *_waiting_lines(load), *_problem_lines(load)]
    return [
        f"run {load.run_id}: {load.files:,} files in {load.seconds:.0f} s",
        counts_text(load.counts),
        _months_text(load.months),
        *_waiting_lines(load),
        *_problem_lines(load),
    ]


def _waiting_lines(load: Load) -> list[str]:
    """Return the files that a client may still be sending; one that waits for days was left behind by a client that died."""
    if not load.waiting:
        return []
    shown = [f"  {printable(key)}" for key in load.waiting[:PROBLEMS_SHOWN]]
    more = len(load.waiting) - len(shown)
    head = f"{len(load.waiting)} files are waiting for their senders to rename them:"
    return [head, *shown, *([f"  and {more} more"] if more else [])]


def _problem_lines(load: Load) -> list[str]:
    if not load.problems:
        return []
    shown = [f"  {printable(problem.key)}: {printable(problem.reason)}" for problem in load.problems[:PROBLEMS_SHOWN]]
    more = len(load.problems) - len(shown)
    return [f"{len(load.problems)} files could not be read:", *shown, *([f"  and {more} more"] if more else [])]


def _months_text(months: Sequence[str]) -> str:
    match months:
        case []:
            return "no month changed"
        case [only]:
            return f"1 month published: {only}"
        case [first, *_, last]:
            return f"{len(months)} months published, {first} to {last}"
        case _:
            raise AssertionError(months)


def replay_lines(load: Load, reason: str | None) -> list[str]:
    """Describe what a replay did: validated records again, or found none."""
    if not load.nothing_new:
        return load_lines(load)
    of_reason = f" for the reason {reason}" if reason else ""
    return [f"nothing was rejected{of_reason}, or none of the records can be read again", *_problem_lines(load)]
