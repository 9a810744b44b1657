"""CloudFormation's YAML as plain data: tags like ``!Sub`` become their long form, ``{"Fn::Sub": ...}``.

Scalars become what CloudFormation sees: text, numbers and true/false, with dates left as they are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployer.errors import ConfigError
from deployer.project.yaml_reader import is_mapping, is_scalar, is_sequence, place

if TYPE_CHECKING:
    import yaml

_YAML = "tag:yaml.org,2002:"
_AS_WRITTEN = {_YAML + "timestamp", _YAML + "binary"}  # 2010-09-09 is text
_WITHOUT_PREFIX = {"!Ref": "Ref", "!Condition": "Condition"}


def construct(node: yaml.Node, file: str) -> Any:
    """Return the data of a node. Raise ConfigError for duplicate keys, keys that are not text, and endless nesting."""
    try:
        return _construct(node, file)
    except RecursionError as error:
        raise ConfigError("nested too deeply: does an alias contain itself?", where=file) from error


def _construct(node: yaml.Node, file: str) -> Any:
    if node.tag.startswith("!"):
        return _intrinsic(node, file)
    if is_mapping(node):
        return _mapping(node, file)
    if is_sequence(node):
        return [_construct(item, file) for item in node.value]
    return _scalar(node, file)


def _mapping(node: yaml.MappingNode, file: str) -> dict[str, Any]:
    """Refuse duplicate keys: YAML readers let the last one win, and a resource would be lost."""
    found: dict[str, Any] = {}
    for key, value in node.value:
        if not is_scalar(key):
            raise ConfigError("a key must be text", where=str(place(key, file)))
        if key.value in found:
            raise ConfigError(f"duplicate key '{key.value}'", where=str(place(key, file)))
        found[key.value] = _construct(value, file)
    return found


def _intrinsic(node: yaml.Node, file: str) -> dict[str, Any]:
    name = _WITHOUT_PREFIX.get(node.tag, f"Fn::{node.tag[1:]}")
    if is_mapping(node):
        return {name: _mapping(node, file)}
    if is_sequence(node):
        return {name: [_construct(item, file) for item in node.value]}
    return {name: node.value.split(".", 1) if name == "Fn::GetAtt" else node.value}


def _scalar(node: yaml.Node, file: str) -> Any:
    import yaml

    if node.tag in _AS_WRITTEN:
        return node.value
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(
            f"'{node.value}' is no {node.tag.removeprefix(_YAML)}", where=str(place(node, file))
        ) from error
