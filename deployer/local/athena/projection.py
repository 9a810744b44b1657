"""Partition projection: the partitions that a table's properties describe instead of the catalog.

Pure. Supports the types enum, integer and date (days or months), and refuses any other by name.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Mapping, Sequence

from deployer.local.athena.errors import QueryError


def projected(keys: Sequence[str], properties: Mapping[str, str], location: str) -> list[tuple[tuple[str, ...], str]]:
    """Return values and location of every partition that the ``projection.*`` properties describe."""
    values = [_values(key, properties) for key in keys]
    template = properties.get("storage.location.template")
    found = []
    for combination in itertools.product(*values):
        named = dict(zip(keys, combination, strict=True))
        usual = location + "".join(f"{key}={value}/" for key, value in named.items())
        found.append((combination, _fill(template, named) if template else usual))
    return found


def _fill(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], template)


def _values(key: str, properties: Mapping[str, str]) -> list[str]:
    kind = properties.get(f"projection.{key}.type", "")
    if kind == "enum":
        return [value.strip() for value in properties[f"projection.{key}.values"].split(",")]
    begin, _, end = (part.strip() for part in properties.get(f"projection.{key}.range", ",").partition(","))
    if kind == "integer":
        digits = int(properties.get(f"projection.{key}.digits", "1"))
        return [str(number).zfill(digits) for number in range(int(begin), int(end) + 1)]
    if kind == "date":
        return _dates(begin, end, properties.get(f"projection.{key}.format", "yyyy-MM-dd"))
    raise QueryError("INVALID_TABLE_PROPERTY", f"projection type {kind!r} of {key} is not one the local cloud knows")


def _dates(begin: str, end: str, java_format: str) -> list[str]:
    formats = {"yyyy-MM": "%Y-%m", "yyyy-MM-dd": "%Y-%m-%d", "yyyy/MM/dd": "%Y/%m/%d", "yyyyMMdd": "%Y%m%d"}
    if java_format not in formats:
        raise QueryError("INVALID_TABLE_PROPERTY", f"date format {java_format!r} is not one the local cloud knows")
    python_format = formats[java_format]
    first = _moment(begin, python_format)
    last = datetime.datetime.now(datetime.UTC) if end.upper() == "NOW" else _moment(end, python_format)
    days = ((first + datetime.timedelta(days=day)) for day in range((last - first).days + 1))
    return list(dict.fromkeys(day.strftime(python_format) for day in days))


def _moment(text: str, python_format: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, python_format).replace(tzinfo=datetime.UTC)
