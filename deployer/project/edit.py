"""Edits dataops.yml without touching any other line: comments and order are the author's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deployer.errors import ConfigError, UsageError
from deployer.project.config import CONFIG_FILE, parse_project
from deployer.project.yaml_reader import compose, is_mapping, is_sequence

if TYPE_CHECKING:
    import yaml

USERS = "sftp_users"


def with_sftp_user(text: str, environment: str, user: str, key: str) -> str:
    """Return the text of dataops.yml with a key of an SFTP user. Raise ConfigError unless the result is valid.

    A user that is there gets one key more; a key that is there changes nothing.
    """
    section = _below(_below(_root(text), "environments"), environment)
    if section is None:
        raise UsageError(f"unknown environment '{environment}'", hint="environments are declared in dataops.yml")
    users = _below(section, USERS)
    known = _below(users, user)
    if known is not None and any(item.value.split()[:2] == key.split()[:2] for item in known.value):
        return text
    if any(_is_in_braces(node) for node in (section, users, known)):
        raise UsageError(
            f"environment {environment} is written in braces, so no lines can be added to it",
            hint=f"write {USERS} under it, one entry per line",
        )
    column = (section.value[0][0] if is_mapping(section) else section).start_mark.column
    item = f"{' ' * (column + 4)}- {key}"
    head = [] if users is not None else [f"{' ' * column}{USERS}:"]
    name = [] if known is not None else [f"{' ' * (column + 2)}{user}:"]
    place = _last_line(known or users or section)
    if known is not None:
        item = f"{' ' * known.start_mark.column}- {key}"
    lines = text.splitlines()
    result = "\n".join([*lines[:place], *head, *name, item, *lines[place:]]) + "\n"
    parse_project(result, Path.cwd(), {})
    return result


def _root(text: str) -> yaml.Node:
    root = compose(text, CONFIG_FILE)
    if root is None:
        raise ConfigError("the file is empty", where=CONFIG_FILE)
    return root


def _below(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if node is None or not is_mapping(node):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _is_in_braces(node: yaml.Node | None) -> bool:
    return node is not None and (is_mapping(node) or is_sequence(node)) and bool(node.flow_style)


def _last_line(node: yaml.Node) -> int:
    """Return the last line of a node; a block's own end is after the blank lines below it."""
    if is_mapping(node) and node.value and not node.flow_style:
        return _last_line(node.value[-1][1])
    if is_sequence(node) and node.value and not node.flow_style:
        return _last_line(node.value[-1])
    return node.end_mark.line + (1 if node.end_mark.column else 0)
