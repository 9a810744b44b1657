"""Types and values between the Glue catalog, DuckDB and Athena's API.

Pure functions: catalog type -> DuckDB type, DuckDB type -> what GetQueryResults says of a column, value -> its text.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: Catalog (Hive) type -> DuckDB type, for types without parameters.
SIMPLE_TYPES = {
    "boolean": "BOOLEAN",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "int": "INTEGER",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "real": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "varchar": "VARCHAR",
    "char": "VARCHAR",
    "binary": "BLOB",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
#: DuckDB type -> Athena's name, precision and scale of the column.
RESULT_TYPES = {
    "BOOLEAN": ("boolean", 0, 0),
    "TINYINT": ("tinyint", 3, 0),
    "SMALLINT": ("smallint", 5, 0),
    "INTEGER": ("integer", 10, 0),
    "BIGINT": ("bigint", 19, 0),
    "HUGEINT": ("bigint", 19, 0),
    "UBIGINT": ("bigint", 19, 0),
    "UINTEGER": ("bigint", 19, 0),
    "UTINYINT": ("smallint", 5, 0),
    "FLOAT": ("float", 17, 0),
    "DOUBLE": ("double", 17, 0),
    "VARCHAR": ("varchar", 2147483647, 0),
    "BLOB": ("varbinary", 1073741824, 0),
    "DATE": ("date", 0, 0),
    "TIME": ("time", 3, 0),
    "TIMESTAMP": ("timestamp", 3, 0),
    "TIMESTAMP_MS": ("timestamp", 3, 0),
    "TIMESTAMP_NS": ("timestamp", 3, 0),
    "TIMESTAMP_S": ("timestamp", 3, 0),
    "TIMESTAMP WITH TIME ZONE": ("timestamp with time zone", 3, 0),
    "INTERVAL": ("interval day to second", 0, 0),
    "JSON": ("json", 2147483647, 0),
    "UUID": ("varchar", 2147483647, 0),
    '"NULL"': ("unknown", 0, 0),
    "NULL": ("unknown", 0, 0),
}


class UnknownType(ValueError):
    """A catalog type that the local engine does not know."""


@dataclass(frozen=True)
class Column:
    """One column of a result, as GetQueryResults describes it."""

    name: str
    type: str
    precision: int
    scale: int


def duckdb_type(catalog_type: str) -> str:
    """Return the type for DuckDB: ``array<decimal(18,2)>`` becomes ``DECIMAL(18,2)[]``."""
    text = catalog_type.strip().lower()
    if text in SIMPLE_TYPES:
        return SIMPLE_TYPES[text]
    if found := re.fullmatch(r"decimal(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?", text):
        return f"DECIMAL({found[1] or 10},{found[2] or 0})"
    if re.fullmatch(r"(varchar|char)\(\d+\)", text):
        return "VARCHAR"
    inner = text[text.find("<") + 1 : -1]
    if text.startswith("array<"):
        return f"{duckdb_type(inner)}[]"
    if text.startswith("map<"):
        key, value = _split(inner)
        return f"MAP({duckdb_type(key)}, {duckdb_type(value)})"
    if text.startswith("struct<"):
        fields = (field.partition(":") for field in _split(inner))
        return f"STRUCT({', '.join(f'{quoted(name.strip())} {duckdb_type(kind)}' for name, _, kind in fields)})"
    raise UnknownType(f"unknown type {catalog_type!r}")


def _split(text: str) -> Iterator[str]:
    """Yield the parts between commas that stand outside brackets."""
    depth, begin = 0, 0
    for position, character in enumerate(text):
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            yield text[begin:position]
            begin = position + 1
    yield text[begin:]


def result_column(name: str, duckdb_result_type: Any) -> Column:
    """Return how Athena names the type of a result column."""
    text = str(duckdb_result_type)
    if found := re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", text):
        return Column(name, "decimal", int(found[1]), int(found[2]))
    if text.endswith("]"):
        return Column(name, "array", 0, 0)
    head = text.partition("(")[0]
    if head in ("STRUCT", "MAP"):
        return Column(name, "row" if head == "STRUCT" else "map", 0, 0)
    return Column(name, *RESULT_TYPES.get(head, ("varchar", 2147483647, 0)))


def text_of(value: Any) -> str | None:
    """Return a value as Athena writes it; None stays None."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case float():
            return _double(value)
        case decimal.Decimal():
            return format(value, "f")
        case datetime.datetime():
            moment = f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}"
            return f"{moment} UTC" if value.tzinfo is not None else moment
        case datetime.date():
            return value.isoformat()
        case datetime.time():
            return f"{value:%H:%M:%S}.{value.microsecond // 1000:03d}"
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex(" ")
        case list() | tuple():
            return f"[{', '.join(_nested(item) for item in value)}]"
        case dict():
            return "{" + ", ".join(f"{_nested(key)}={_nested(item)}" for key, item in value.items()) + "}"
    return str(value)


def _nested(value: Any) -> str:
    text = text_of(value)
    return "null" if text is None else text


def _double(value: float) -> str:
    """Write a double as Java prints it: ``1.0E10``, ``NaN``, ``Infinity``."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    mantissa, _, exponent = f"{decimal.Decimal(repr(value)).normalize():E}".partition("E")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"


def quoted(identifier: str) -> str:
    """Return an identifier for DuckDB."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a string literal for DuckDB."""
    return "'" + text.replace("'", "''") + "'"


def as_json(columns: list[Column]) -> str:
    """Write the ``.metadata`` object beside a result (Athena's own format is not public)."""
    return json.dumps([vars(column) for column in columns])
