"""Converts a frozen result to JSON by the names of its fields.

docs/json_reference.py makes docs/json-output.md from the same fields: the annotation is the form, a `#:` comment the meaning.
"""

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
    """A value whose fields in JSON are others than its own: those of the frozen value that `document` returns."""

    def document(self) -> Any: ...


def printed_fields(kind: type) -> tuple[str, ...]:
    """Return the names that a dataclass has in JSON: a field that is no part of the value (`compare=False`) is left out."""
    return tuple(field.name for field in fields(kind) if field.compare)


def as_document(value: Any) -> Any:
    """Convert a value to JSON: amounts as text with two decimals, moments in ISO 8601, absent as null."""
    match value:
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
        case tuple() if hasattr(value, "_asdict"):
            return as_document(value._asdict())
        case list() | tuple():
            return [as_document(each) for each in value]
        case Documented():
            return as_document(value.document())
        case _ if is_dataclass(value):
            return {name: as_document(getattr(value, name)) for name in printed_fields(type(value))}
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")
