"""Reads a YAML file by a shape of shapes.py into values that know their place, collecting every problem.

It knows nothing of what the keys mean; config.py makes the project's values out of what is read here. yaml is imported
by the functions that use it: a command's help needs none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard, assert_never

from deployer.errors import ConfigError, Location
from deployer.nearest import nearest
from deployer.project.shapes import FROM_ENVIRONMENT, Flag, Items, Number, Record, Shape, Table, Text, Value

if TYPE_CHECKING:
    import yaml

_TAG = "tag:yaml.org,2002:"
_NOT_TEXT = {_TAG + "int": "a number", _TAG + "float": "a number", _TAG + "bool": "true or false"}


@dataclass(frozen=True)
class Entry:
    """A value and its place: text, int, ``FromEnvironment``, a mapping of entries or a list of entries."""

    value: Any
    location: Location


@dataclass(frozen=True)
class FromEnvironment:
    """The value of an environment variable."""

    variable: str


def compose(text: str, file: str) -> yaml.Node | None:
    """Return the YAML tree of a text, None if it is empty. Raise ConfigError with the place of a syntax error."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is 20 times faster, some builds lack it
    try:
        return yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Location(file, mark.line + 1, mark.column + 1) if mark else file
        said = " ".join(part for part in (error.problem, error.context) if part)
        raise ConfigError(f"this is not YAML: {said}", where=str(where)) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"this is not YAML: {error}", where=file) from error


def place(node: yaml.Node, file: str) -> Location:
    """Return where a node starts."""
    return Location(file, node.start_mark.line + 1, node.start_mark.column + 1)


def is_scalar(node: yaml.Node) -> TypeGuard[yaml.ScalarNode]:
    """Return whether a node is a single value."""
    import yaml

    return isinstance(node, yaml.ScalarNode)


def is_mapping(node: yaml.Node) -> TypeGuard[yaml.MappingNode]:
    """Return whether a node has keys."""
    import yaml

    return isinstance(node, yaml.MappingNode)


def is_sequence(node: yaml.Node) -> TypeGuard[yaml.SequenceNode]:
    """Return whether a node is a list."""
    import yaml

    return isinstance(node, yaml.SequenceNode)


class Reader:
    """Reads nodes of one file; what is wrong is in `problems`, in the file's order once sorted."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[ConfigError] = []

    def problem(self, where: Location, message: str) -> None:
        self.problems.append(ConfigError(message, where=str(where)))

    def read(self, node: yaml.Node, shape: Shape, key: str) -> Entry | None:
        """Return the value at a node, None if it does not have that shape (the problem is recorded)."""
        value = self._value(node, shape, key)
        return None if value is None else Entry(value, place(node, self.file))

    def _value(self, node: yaml.Node, shape: Shape, key: str) -> Any:
        match shape:
            case Text():
                return self._text(node, shape, key)
            case Number():
                return self._number(node, shape, key)
            case Flag():
                return self._flag(node, key)
            case Value():
                return self._parameter(node, shape, key)
            case Items():
                return self._items(node, shape, key)
            case Table():
                return self._table(node, shape, key)
            case Record():
                return self._record(node, shape, key)
            case _:
                assert_never(shape)

    def _wrong(self, node: yaml.Node, key: str, expected: str) -> Any:
        """Note the problem; the value is None."""
        found = _describe(node)
        message = f"'{key}' must be {expected}, not {found}" if found else f"'{key}' is empty, it must be {expected}"
        self.problem(place(node, self.file), message)
        return None

    def _text(self, node: yaml.Node, shape: Text, key: str) -> Any:
        if not is_scalar(node) or _is_empty(node) or not node.tag.startswith(_TAG):
            return self._wrong(node, key, shape.expected)
        if node.tag in _NOT_TEXT:
            return self._wrong(node, key, _as_text(node, shape))
        if not re.search(shape.pattern, node.value):
            return self._wrong(node, key, shape.expected)
        return str(node.value)

    def _number(self, node: yaml.Node, shape: Number, key: str) -> Any:
        wanted = f"a whole number from {shape.minimum} to {shape.maximum}"
        if node.tag != _TAG + "int" or not re.fullmatch("0|[1-9][0-9]*", node.value):
            return self._wrong(node, key, wanted)
        number = int(node.value)
        return number if shape.minimum <= number <= shape.maximum else self._wrong(node, key, wanted)

    def _flag(self, node: yaml.Node, key: str) -> Any:
        if node.tag != _TAG + "bool" or node.value not in ("true", "false"):
            return self._wrong(node, key, "true or false")
        return node.value == "true"

    def _parameter(self, node: yaml.Node, shape: Value, key: str) -> Any:
        if is_scalar(node) and node.tag.startswith(_TAG) and not _is_empty(node):
            return str(node.value)
        if is_mapping(node) and shape.from_environment:
            found = self.read(node, FROM_ENVIRONMENT, key)
            return FromEnvironment(found.value["from_environment"].value) if found and found.value else None
        if is_mapping(node):
            return self._wrong(node, key, "plain text here: secrets belong to an environment's parameters")
        return self._wrong(node, key, 'text or a number ("" for no text)')

    def _items(self, node: yaml.Node, shape: Items, key: str) -> Any:
        if not is_sequence(node):
            return self._wrong(node, key, "a list")
        if len(node.value) < shape.minimum:
            self.problem(place(node, self.file), f"'{key}' is empty, it must list at least {shape.minimum}")
        entries = [self.read(item, shape.item, f"{key}[{number}]") for number, item in enumerate(node.value)]
        return [entry for entry in entries if entry is not None]

    def _table(self, node: yaml.Node, shape: Table, key: str) -> Any:
        if not is_mapping(node):
            return self._wrong(node, key, "a mapping")
        entries: dict[str, Entry] = {}
        for name_node, value_node in self._pairs(node):
            if not re.search(shape.name.pattern, name_node.value):
                where = place(name_node, self.file)
                self.problem(where, f"'{name_node.value}' is not a valid name here: expected {shape.name.expected}")
            entry = self.read(value_node, shape.value, name_node.value)
            if entry is not None:
                entries[name_node.value] = entry
        if len(node.value) < shape.minimum:
            self.problem(place(node, self.file), f"'{key}' is empty, it must name at least {shape.minimum}")
        return entries

    def _record(self, node: yaml.Node, shape: Record, key: str) -> Any:
        if not is_mapping(node):
            return self._wrong(node, key, f"a mapping with {_listed(shape.keys)}")
        entries: dict[str, Entry] = {}
        written: set[str] = set()  # keys that are there, or were meant to be there
        for name_node, value_node in self._pairs(node):
            name = name_node.value
            if name in shape.keys:
                written.add(name)
                entry = self.read(value_node, shape.keys[name], name)
                if entry is not None:
                    entries[name] = entry
            else:
                meant = nearest(name, shape.keys)
                written |= {meant} if meant else set()
                self.problem(place(name_node, self.file), _unknown(name, meant, shape.keys))
        for message in _incomplete(shape, key, written, len(node.value)):
            self.problem(place(node, self.file), message)
        return entries

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        first: dict[str, Location] = {}
        for name_node, value_node in node.value:
            where = place(name_node, self.file)
            if not is_scalar(name_node):
                self.problem(where, "a key must be text")
            elif name_node.value in first:
                self.problem(where, f"duplicate key '{name_node.value}', first on line {first[name_node.value].line}")
            else:
                first[name_node.value] = where
                yield name_node, value_node


def _is_empty(node: yaml.ScalarNode) -> bool:
    return node.tag == _TAG + "null"


def _describe(node: yaml.Node) -> str:
    match node:
        case _ if is_mapping(node):
            return "a mapping"
        case _ if is_sequence(node):
            return "a list"
        case _ if not node.tag.startswith(_TAG):
            return f"the YAML tag {node.tag}"
        case _ if node.tag == _TAG + "null":
            return ""
        case _ if node.tag in _NOT_TEXT:
            return f"the bare {node.value} (YAML reads it as {_NOT_TEXT[node.tag]})"
        case _:
            return f"'{node.value}'"


def _as_text(node: yaml.ScalarNode, shape: Text) -> str:
    return f'"{node.value}"' if re.search(shape.pattern, node.value) else shape.expected


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _unknown(name: str, meant: str | None, known: Mapping[str, Any]) -> str:
    return f"unknown key '{name}', " + (f"did you mean '{meant}'?" if meant else f"known are {_listed(known)}")


def _incomplete(shape: Record, key: str, written: set[str], count: int) -> Iterator[str]:
    for name in shape.required:
        if name not in written:
            yield f"'{key}' lacks the key '{name}'"
    if shape.any_of and not any(written.issuperset(group) for group in shape.any_of):
        yield f"'{key}' needs {' or '.join(' and '.join(group) for group in shape.any_of)}"
    if shape.exactly_one and count != 1:
        yield f"'{key}' needs exactly one of {_listed(shape.keys)}"
