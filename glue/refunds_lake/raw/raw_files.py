"""Raw objects before they are read: which ones a run reads, in which order, and in which format.

An object whose name or size forbids to read it becomes a named problem here; what is wrong inside one shows when it is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from refunds_lake.publishing.manifests import Problem, State
from refunds_lake.raw.blocks import Unreadable
from refunds_lake.schema.contract import FORMATS, is_waiting
from refunds_lake.storage.objects import StoredObject


@dataclasses.dataclass(frozen=True)
class RawFile:
    """An object that the run is to read."""

    stored: StoredObject
    format: str
    only: tuple[int, ...] | None = None
    """The lines to be validated again of an object that was read before; None for all lines of a new one."""

    @property
    def key(self) -> str:
        return self.stored.key


def is_known(stored: StoredObject, state: State) -> bool:
    """Return whether a run in force has read this exact delivery of the key."""
    return (stored.key, stored.identity) in state.known


def version_order(objects: Iterable[StoredObject]) -> list[StoredObject]:
    """Sort by modification time, then key: the order in which later versions win."""
    return sorted(objects, key=lambda each: (each.last_modified, each.key.encode()))


def fresh(objects: Iterable[StoredObject], state: State) -> list[StoredObject]:
    """Return the objects that no run in force has read, without folder markers and waiting objects."""
    unread = (each for each in objects if not is_known(each, state))
    return [each for each in unread if not each.key.endswith("/") and not is_waiting(each.key)]


def waiting(objects: Iterable[StoredObject]) -> tuple[str, ...]:
    """Return the keys of the objects that wait for their names."""
    return tuple(sorted({each.key for each in objects if is_waiting(each.key) and not each.key.endswith("/")}))


def inspect(
    objects: Iterable[StoredObject], only: Mapping[tuple[str, datetime], Collection[int]] | None = None
) -> tuple[list[RawFile], list[Problem]]:
    """Sort the objects into files to read and problems; with `only`, read only lines with these numbers, by key and time."""
    files, problems = [], []
    for each in objects:
        try:
            files.append(describe(each, None if only is None else tuple(only[each.key, each.last_modified])))
        except Unreadable as error:
            problems += [Problem(each.key, str(error))] if not each.version_id else []  # as the current one, or empty
    return files, problems


def describe(stored: StoredObject, only: tuple[int, ...] | None = None) -> RawFile:
    """Return the object with its format; raise Unreadable."""
    name = stored.key.rpartition("/")[2]
    format_ = next((format_ for suffix, format_ in FORMATS.items() if name.endswith(suffix)), None)
    if format_ is None:
        raise Unreadable(f"unknown suffix; known are {', '.join(FORMATS)} in lower case")
    if name.startswith("_"):
        raise Unreadable(
            "a name that begins with _ is hidden from Athena and crawlers; deliver the file under another name"
        )
    if stored.size == 0:
        raise Unreadable("the object is empty (0 bytes)")
    return RawFile(stored, format_, only)
