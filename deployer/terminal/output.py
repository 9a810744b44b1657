"""Where words go: results to stdout (text or one JSON object), progress and errors to stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

from deployer.errors import DataopsError
from deployer.printable import printable_lines

JSON_VERSION = 1


def document_text(command: str, document: Mapping[str, Any]) -> str:
    """Return the JSON object of a command's result: its version, the command, then the command's fields."""
    return json.dumps({"version": JSON_VERSION, "command": command, **document}, indent=2, default=str)


def write_result(text: str) -> None:
    """Write a result to stdout unchanged: data keeps every character."""
    sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
    sys.stdout.flush()


def write_lines(text: str) -> None:
    """Write a result for people to stdout, without anything that a terminal would act on."""
    write_result(printable_lines(text))


def write_talk(text: str) -> None:
    """Write progress to stderr at once, without anything that a terminal would act on."""
    sys.stderr.write(printable_lines(text) + "\n")
    sys.stderr.flush()


def show_log(verbose: int) -> None:
    """Let the deployer's log be seen on stderr: what it does, from 2 on every API call too."""
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("deployer").setLevel(logging.DEBUG if verbose > 1 else logging.INFO)


def write_error(error: DataopsError) -> None:
    """Write what is wrong, and the next step."""
    for line in error.lines():
        write_talk(f"error: {line}")
    if error.hint:
        write_talk(f"hint: {error.hint}")


def error_document(error: DataopsError) -> dict[str, Any]:
    """Return the JSON of an error that ended a command without a result."""
    return {
        "error": {
            "problems": list(error.lines()),
            "where": error.where,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
    }
