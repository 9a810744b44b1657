"""Converts a frozen result to JSON by the names of its fields, so that the fields are those that docs/json-output.md documents."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Documented(Protocol):
    """A value that is also kept in files, and says itself what it is there."""

    def document(self) -> Any: ...


def as_document(value: Any) -> Any:
    """Convert a value to JSON: amounts as text with two decimals, moments in ISO 8601, absent as null."""
    match value:
        case Documented() if not isinstance(value, type):
            return value.document()
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return f"{value:.2f}"
        case Path():
            return str(value)
        case dt.datetime():
            return value.isoformat()
        case Mapping():
            return {str(name): as_document(each) for name, each in value.items()}
        case list() | tuple():
            return [as_document(each) for each in value]
        case _ if is_dataclass(value):
            return {field.name: as_document(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")
