"""What a page shows of a command, to be compared with what the command prints."""

from __future__ import annotations

import re

from repository import ROOT

#: Pattern of what differs in each run -> the word that replaces it.
VARIABLE = {
    r"\d{8}T\d{6}Z-\w{8}": "RUN",
    r"\d{8}T\d{6}Z": "MOMENT",
    r"\d{4}-\d\d-\d\d \d\d:\d\d UTC by \S+": "MOMENT by PERSON",
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00)?": "MOMENT",
    r"s3://[^/]+/": "s3://BUCKET/",
    r"\bjr_[0-9a-f]+": "JOB RUN",
    r"\b[0-9a-f]{12,64}\b": "RELEASE",
}


def masked(text: str, **more: str) -> str:
    """The text without what differs in each run; `more` are further words and the patterns that they replace."""
    for pattern, name in {**{pattern: name for name, pattern in more.items()}, **VARIABLE}.items():
        text = re.sub(pattern, name, text)
    return text


def shown(command: str, page: str = "docs/operations.md") -> str:
    """What a page shows of a command."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(rf"^\$ dataops {re.escape(command)}\n(.*?)^(?:```$|\$ )", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} does not show dataops {command}"
    return found[1]
