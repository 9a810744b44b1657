"""Holds what commands print with `--output json` against the page that describes it, whatever test makes them print it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import json_reference
import pytest

from deployer.terminal import app
from deployer.terminal.output import document_text


def hold_to_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a result with other fields than docs/json-output.md describes for its command fail the test."""

    def checked(command: str, document: Mapping[str, Any]) -> str:
        described = [
            [field.name for field in json_reference.fields_of(result)]
            for title, result in json_reference.RESULTS.items()
            if title == command or title.startswith(f"{command} ")
        ]
        assert not described or "error" in document or list(document) in described, (command, list(document))
        return document_text(command, document)

    monkeypatch.setattr(app, "document_text", checked)
