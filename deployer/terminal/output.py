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
    """The JSON object of a command's result: its version, the command, then what the command says."""
    return json.dumps({"version": JSON_VERSION, "command": command, **document}, indent=2, default=str)


def write_result(text: str) -> None:
    """A result, on stdout, as it is: data keeps every character."""
    sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
    sys.stdout.flush()


def write_lines(text: str) -> None:
    """A result for people, on stdout, with nothing in it that a terminal would act on."""
    write_result(printable_lines(text))


def write_talk(text: str) -> None:
    """Progress, on stderr, at once, with nothing in it that a terminal would act on."""
    sys.stderr.write(printable_lines(text) + "\n")
    sys.stderr.flush()


def show_log(verbose: int) -> None:
    """Let the deployer's log be seen on stderr: what it does, from 2 on every API call too."""
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("deployer").setLevel(logging.DEBUG if verbose > 1 else logging.INFO)


def write_error(error: DataopsError) -> None:
    """What is wrong, and the next step."""
    for line in error.lines():
        write_talk(f"error: {line}")
    if error.hint:
        write_talk(f"hint: {error.hint}")


def error_document(error: DataopsError) -> dict[str, Any]:
    """What `--output json` says of an error when a command ended without a result."""
    return {
        "error": {
            "problems": list(error.lines()),
            "where": error.where,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
    }
