"""The calls that CloudFormation makes for each resource type of the templates, by AWS's own schemas: a stored copy.

To renew it: fetch https://schema.cloudformation.ap-southeast-2.amazonaws.com/CloudformationSchema.zip, unpack it, and
run ``python tests/support/handler_permissions.py FOLDER YYYY-MM-DD``. (`aws cloudformation describe-type` shows the same
for one type.) A handler's `list` is left out: only the console and importing tools call it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")
HANDLERS = ("create", "read", "update", "delete")
Permissions = Mapping[str, Mapping[str, list[str]]]


def load_handler_permissions() -> Permissions:
    """Resource type -> handler -> actions. Of a type without handlers, the registry has only the schema."""
    types: Permissions = json.loads(FILE.read_text(encoding="utf-8"))["types"]
    return types


def from_schemas(folder: Path, types: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """The same as `load_handler_permissions`, from a folder of schemas as AWS publishes them."""
    return {type_: _handlers(folder / f"{type_.lower().replace('::', '-')}.json") for type_ in sorted(types)}


def _handlers(path: Path) -> dict[str, list[str]]:
    handlers: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("handlers", {})
    return {name: _actions(handlers[name]["permissions"]) for name in HANDLERS if name in handlers}


def _actions(names: Iterable[str]) -> list[str]:
    """Actions with their service in lower case, because IAM ignores its case."""
    return sorted({f"{service.lower()}:{action}" for service, _, action in (name.partition(":") for name in names)})


if __name__ == "__main__":
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    stored.update(source="CloudformationSchema.zip of ap-southeast-2", date=sys.argv[2])
    stored["types"] = from_schemas(Path(sys.argv[1]), stored["types"])
    FILE.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
