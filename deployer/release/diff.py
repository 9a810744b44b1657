"""What changed between two releases, file by file. Pure, over two manifests and a way to read files."""

from __future__ import annotations

import difflib
import enum
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any


class FileChange(enum.Enum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True)
class ChangedFile:
    """One file; `diff` is a unified diff, line by line, empty for a zip."""

    path: str
    change: FileChange
    diff: tuple[str, ...] = ()


Manifest = Mapping[str, Any]
Read = Callable[[Manifest, str], bytes]


def changed_files(before: Manifest, after: Manifest, read: Read) -> tuple[ChangedFile, ...]:
    """Files that differ, in order of their paths; `read` gives a file of one of the two manifests.

    A zip that differs is followed by the files in it that do, under the paths that they have in the project.
    """
    old, new = before["files"], after["files"]
    differing = [
        path
        for path in sorted(old.keys() | new.keys())
        if old.get(path, {}).get("sha256") != new.get(path, {}).get("sha256")
    ]
    found = []
    for path in differing:
        sides = tuple(read(m, path) if path in m["files"] else None for m in (before, after))
        found += _of_zip(path, *sides) if path.endswith(".zip") else [_changed(path, *sides)]
    return tuple(found)


def _of_zip(path: str, before: bytes | None, after: bytes | None) -> list[ChangedFile]:
    folder = path.rpartition("/")[0]
    old, new = _members(before), _members(after)
    return [
        replace(_changed(path, before, after), diff=()),
        *(
            _changed(f"{folder}/{name}" if folder else name, old.get(name), new.get(name))
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ),
    ]


def _members(content: bytes | None) -> dict[str, bytes]:
    if content is None:
        return {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _changed(path: str, before: bytes | None, after: bytes | None) -> ChangedFile:
    change = FileChange.ADDED if before is None else FileChange.REMOVED if after is None else FileChange.CHANGED
    old, new = ((content or b"").decode(errors="replace").splitlines() for content in (before, after))
    return ChangedFile(path, change, tuple(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm="")))


def settings_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether dataops.yml's stacks or artifacts differ."""
    return any(before[key] != after[key] for key in ("stacks", "artifacts"))
