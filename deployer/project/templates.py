"""A CloudFormation template as data that knows its lines: intrinsics in the long form, whatever the file uses.

It checks that a template can be read, nothing more: cfn-lint checks it, wiring.py determines where its parameters come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.errors import ConfigError
from deployer.project.config import Project
from deployer.project.intrinsics import construct
from deployer.project.yaml_reader import compose, is_mapping, is_scalar, is_sequence, place

if TYPE_CHECKING:
    import yaml


@dataclass(frozen=True)
class Parameter:
    """A parameter; `default` is None when it has none and must be fed."""

    name: str
    type: str
    default: str | None
    no_echo: bool
    line: int


@dataclass(frozen=True)
class Output:
    """An output; with a condition it may be absent from the deployed stack."""

    name: str
    line: int
    condition: str | None = None


@dataclass(frozen=True)
class Resource:
    """A resource and what happens to its data when it is deleted or replaced (None: deleted)."""

    logical_id: str
    type: str
    line: int
    deletion_policy: str | None = None
    update_replace_policy: str | None = None


@dataclass(frozen=True)
class Template:
    """A template; `document` has intrinsics in the long form, ``{"Ref": ...}`` and ``{"Fn::Sub": ...}``."""

    path: Path
    body: str = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)
    parameters: Mapping[str, Parameter]
    outputs: Mapping[str, Output]
    resources: Mapping[str, Resource]
    root: yaml.Node = field(repr=False, compare=False)
    file: str = ""  # what messages call it

    def line_of(self, logical_id: str, property_path: Sequence[str] = ()) -> int:
        """Return the line of a resource or of one of its properties, as closely as the file has it; 1 without such a resource.

        `property_path` are names and list positions, with or without a leading ``Properties``.
        """
        node = _child(_child(self.root, "Resources"), logical_id)
        if node is None:
            return 1
        best = self.resources[logical_id].line if logical_id in self.resources else node.start_mark.line + 1
        steps = list(property_path)
        if steps and steps[0] != "Properties":
            steps.insert(0, "Properties")
        for step in steps:
            found = _step(node, step)
            if found is None:
                break
            node, best = found
        return best

    def line_of_name(self, name: str) -> int | None:
        """Return the first line of a value that mentions a name, as `!Ref` and `!Sub` do; None if there is none."""
        word = re.compile(rf"\b{re.escape(name)}\b")
        return next((node.start_mark.line + 1 for node in _scalars(self.root) if word.search(node.value)), None)


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if is_scalar(node):
        yield node
    elif is_sequence(node):
        for item in node.value:
            yield from _scalars(item)
    elif is_mapping(node):
        for _, value in node.value:
            yield from _scalars(value)


def load_template(path: Path, *, shown_as: str | None = None) -> Template:
    """Read a template. Raise ConfigError with file, line and column; `shown_as` is what messages call the file."""
    shown_as = shown_as or shown(path)
    try:
        body = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError("there is no such template", where=shown_as) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=shown_as) from error
    return parse_template(body, path, shown_as=shown_as)


def load_templates(project: Project) -> dict[str, Template]:
    """Return the template of every stack, by the stack's name. Raise ConfigError for the first that cannot be read."""
    paths = dict.fromkeys(spec.template for spec in project.stacks.values())
    by_path = {path: load_template(path, shown_as=_in_project(project, path)) for path in paths}
    return {name: by_path[spec.template] for name, spec in project.stacks.items()}


def _in_project(project: Project, path: Path) -> str:
    return path.relative_to(project.directory).as_posix() if path.is_relative_to(project.directory) else str(path)


def parse_template(body: str, path: Path, *, shown_as: str | None = None) -> Template:
    """Parse a template. Raise ConfigError with file, line and column."""
    file = shown_as or shown(path)
    root = compose(body, file)
    if root is None or not is_mapping(root):
        raise ConfigError("a template must be a mapping", where=file)
    document = construct(root, file)
    lines = _lines(root)
    for section in ("Resources", "Parameters", "Outputs"):
        _check_section(root, document, section, file)
    return Template(
        path=path,
        body=body,
        document=document,
        parameters={n: _parameter(n, v, lines["Parameters", n]) for n, v in document.get("Parameters", {}).items()},
        outputs={n: Output(n, lines["Outputs", n], v.get("Condition")) for n, v in document.get("Outputs", {}).items()},
        resources={n: _resource(n, v, lines["Resources", n]) for n, v in document["Resources"].items()},
        root=root,
        file=file,
    )


def shown(path: Path) -> str:
    """Return a path for messages: relative to the working directory if that is shorter."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def _parameter(name: str, value: Mapping[str, Any], line: int) -> Parameter:
    default = value.get("Default")
    no_echo = str(value.get("NoEcho", "false")).lower() == "true"
    return Parameter(name, str(value.get("Type", "String")), _as_text(default), no_echo, line)


def _as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _resource(name: str, value: Mapping[str, Any], line: int) -> Resource:
    policies = value.get("DeletionPolicy"), value.get("UpdateReplacePolicy")
    return Resource(name, str(value.get("Type", "")), line, *policies)


def _check_section(root: yaml.Node, document: Mapping[str, Any], section: str, file: str) -> None:
    """Require that every entry of a section is a mapping, and that a template has resources."""
    if section not in document and section != "Resources":
        return
    content = document.get(section)
    node = _child(root, section)
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"'{section}' must be a mapping with at least one entry", where=_where(node or root, file))
    for name, value in content.items():
        if not isinstance(value, dict):
            raise ConfigError(f"'{name}' must be a mapping", where=_where(_child(node, name) or root, file))


def _where(node: yaml.Node, file: str) -> str:
    return str(place(node, file))


# Finding places.


def _lines(root: yaml.MappingNode) -> dict[tuple[str, str], int]:
    return {
        (section.value, key.value): key.start_mark.line + 1
        for section, content in root.value
        if is_mapping(content)
        for key, _ in content.value
    }


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    found = _step(node, name)
    return found[0] if found else None


def _step(node: yaml.Node | None, name: str) -> tuple[yaml.Node, int] | None:
    """Return the value below a key or list position, and its line."""
    if node is not None and is_mapping(node):
        for key, value in node.value:
            if key.value == name:
                return value, key.start_mark.line + 1
    if node is not None and is_sequence(node) and name.isdigit() and int(name) < len(node.value):
        item = node.value[int(name)]
        return item, item.start_mark.line + 1
    return None
