"""What changed between two releases, file by file. Pure, over two manifests and a way to read files."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class FileChange(enum.Enum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True)
class ChangedFile:
    """One file; `lines` is a unified diff, empty for a zip."""

    path: str
    change: FileChange
    lines: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {"path": self.path, "change": self.change.value, "diff": list(self.lines)}


def changed_files(
    before: Mapping[str, Any], after: Mapping[str, Any], read: Callable[[Mapping[str, Any], str], bytes]
) -> tuple[ChangedFile, ...]:
    """Files that differ, in order of their paths; `read` gives a file of one of the two manifests."""
    old, new = before["files"], after["files"]
    return tuple(
        ChangedFile(path, _change(path, old, new), _lines(path, before, after, read))
        for path in sorted(old.keys() | new.keys())
        if old.get(path, {}).get("sha256") != new.get(path, {}).get("sha256")
    )


def settings_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether dataops.yml's stacks or artifacts differ."""
    return any(before[key] != after[key] for key in ("stacks", "artifacts"))


def _change(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> FileChange:
    if path not in old:
        return FileChange.ADDED
    return FileChange.CHANGED if path in new else FileChange.REMOVED


def _lines(
    path: str, before: Mapping[str, Any], after: Mapping[str, Any], read: Callable[[Mapping[str, Any], str], bytes]
) -> tuple[str, ...]:
    if path.endswith(".zip"):
        return ()
    old, new = (
        read(m, path).decode(errors="replace").splitlines() if path in m["files"] else [] for m in (before, after)
    )
    return tuple(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm=""))
