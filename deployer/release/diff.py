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
    """A file that differs between two releases."""

    path: str  #: its path, relative to the project
    change: FileChange  #: what happened to it
    diff: tuple[str, ...] = ()  #: a unified diff, line by line; empty for a zip


Manifest = Mapping[str, Any]
Read = Callable[[Manifest, str], bytes]


def changed_files(before: Manifest, after: Manifest, read: Read) -> tuple[ChangedFile, ...]:
    """Return the files that differ, in order of their paths; `read` gets a file of one of the two manifests.

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
        left, right = (read(m, path) if path in m["files"] else None for m in (before, after))
        if path.endswith(".zip"):
            found += _of_zip(path, left, right, _folders(before, path) | _folders(after, path))
        else:
            found.append(_changed(path, left, right))
    return tuple(dict.fromkeys(found))


def _of_zip(path: str, before: bytes | None, after: bytes | None, folders: Mapping[str, str]) -> list[ChangedFile]:
    old, new = _members(before, folders), _members(after, folders)
    return [
        replace(_changed(path, before, after), diff=()),
        *(
            _changed(name, old.get(name), new.get(name))
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ),
    ]


def _folders(manifest: Manifest, path: str) -> dict[str, str]:
    """Return the top folders of a zip -> their places in the project: those of its bundle, or the directory that it is named after."""
    bundles = [item["folders"] for item in manifest["artifacts"].values() if item["path"] == path and "folders" in item]
    return {
        folder.rsplit("/", 1)[-1]: folder for folder in [path.removesuffix(".zip"), *(bundles[0] if bundles else ())]
    }


def _members(content: bytes | None, folders: Mapping[str, str]) -> dict[str, bytes]:
    if content is None:
        return {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: name.split("/", 1) for name in archive.namelist()}
        return {"/".join([folders.get(top, top), *rest]): archive.read(name) for name, (top, *rest) in parts.items()}


def _changed(path: str, before: bytes | None, after: bytes | None) -> ChangedFile:
    change = FileChange.ADDED if before is None else FileChange.REMOVED if after is None else FileChange.CHANGED
    old, new = ((content or b"").decode(errors="replace").splitlines() for content in (before, after))
    return ChangedFile(path, change, tuple(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm="")))


def settings_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether dataops.yml's stacks or artifacts differ."""
    return any(before[key] != after[key] for key in ("stacks", "artifacts"))
