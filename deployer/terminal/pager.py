"""Long text on a terminal: through the person's pager, and straight to stdout if it is not a terminal."""

from __future__ import annotations

import os
import sys

import click

from deployer.terminal.output import write_result

# Quit when it fits on the screen, cut long lines instead of folding them, leave the text on the screen.
LESS = "FSX"


def show_paged(text: str) -> None:
    """Show text in the person's pager (PAGER, else less or more) when stdin and stdout are a terminal, else print it.

    Control characters have to be gone from it already.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        write_result(text)
        return
    os.environ.setdefault("LESS", LESS)
    click.echo_via_pager(text.removesuffix("\n"), color=False)  # click ends it with a line break of its own
