"""What a template may not contain, beyond cfn-lint's rules: its size, macros, and names that Athena cannot read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from deployer.errors import Location
from deployer.project.finding import Finding, Level
from deployer.project.templates import Template

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
MAX_TEMPLATE_BYTES: Final = 1_000_000
_NAMED_FOR_ATHENA: Final = {"AWS::Glue::Database": "DatabaseInput", "AWS::Glue::Table": "TableInput"}
# https://docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html
_ATHENA_NAME: Final = re.compile(r"[a-z0-9_]{0,255}")
_SUBSTITUTION: Final = re.compile(r"\$\{[^}]*\}")


def limits_broken(template: Template) -> Iterator[Finding]:
    """Yield findings of one template, each at its line."""
    size = len(template.body.encode())
    if size > MAX_TEMPLATE_BYTES:
        message = f"a template has at most {MAX_TEMPLATE_BYTES:,} bytes, this has {size:,}"
        yield _finding(template, 1, "template-size", message)
    for macro in _macros(template.document):
        message = (
            f"the macro '{macro}' would change the template after it was planned, so dataops never allows it "
            "(CAPABILITY_AUTO_EXPAND): write out its result"
        )
        yield _finding(template, template.line_of_name(macro) or 1, "macro", message)
    for logical_id, resource in template.document["Resources"].items():
        part = _NAMED_FOR_ATHENA.get(resource.get("Type"), "")
        name = _literal(((resource.get("Properties") or {}).get(part) or {}).get("Name"))
        if name is not None and not _ATHENA_NAME.fullmatch(name):
            line = template.line_of(logical_id, (part, "Name"))
            message = f"Athena requires names of up to 255 lower-case letters, digits and underscores, not '{name}'"
            yield _finding(template, line, "athena-name", message)


def _finding(template: Template, line: int, code: str, message: str) -> Finding:
    return Finding.at(Location(template.file, line), Level.ERROR, code, message)


def _macros(value: Any) -> Iterator[str]:
    match value:
        case Mapping():
            for key, inner in value.items():
                if key in ("Transform", "Fn::Transform"):
                    for macro in inner if isinstance(inner, list) else [inner]:
                        yield str(macro.get("Name", "") if isinstance(macro, Mapping) else macro)
                else:
                    yield from _macros(inner)
        case list():
            for inner in value:
                yield from _macros(inner)


def _literal(name: Any) -> str | None:
    """Return the fixed part of a name, without what is inserted; None for what is not text."""
    match name:
        case str():
            return name
        case {"Fn::Sub": str(text)} | {"Fn::Sub": [str(text), _]}:
            return _SUBSTITUTION.sub("", text)
        case _:
            return None
