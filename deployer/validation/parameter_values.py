"""Checks the values of dataops.yml against what the template allows, before CloudFormation does; a pure function.

A value that may be a secret is never part of a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any


def violations(declared: Mapping[str, Any], value: str, *, is_secret: bool) -> Iterator[str]:
    """Yield how a value breaks what a template declares for its parameter."""
    shown = "its value" if is_secret else f"'{value}'"
    allowed = [_text(each) for each in declared.get("AllowedValues", ())]
    if allowed and value not in allowed:
        yield f"{shown} is not one of {', '.join(allowed)}"
    pattern = declared.get("AllowedPattern")
    if pattern is not None and not _matches(str(pattern), value):
        yield f"{shown} does not match {pattern}"
    if "MinLength" in declared and len(value) < int(declared["MinLength"]):
        yield f"{shown} is shorter than {declared['MinLength']} characters"
    if "MaxLength" in declared and len(value) > int(declared["MaxLength"]):
        yield f"{shown} is longer than {declared['MaxLength']} characters"
    if declared.get("Type") == "Number":
        yield from _number_violations(declared, value, shown)


def _number_violations(declared: Mapping[str, Any], value: str, shown: str) -> Iterator[str]:
    try:
        number = float(value)
    except ValueError:
        yield f"{shown} is not a number"
        return
    if "MinValue" in declared and number < float(declared["MinValue"]):
        yield f"{shown} is less than {declared['MinValue']}"
    if "MaxValue" in declared and number > float(declared["MaxValue"]):
        yield f"{shown} is more than {declared['MaxValue']}"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:  # Java's dialect, which CloudFormation reads; cfn-lint checks the pattern itself
        return True
