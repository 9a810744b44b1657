"""The state of every service in one SQLite file: changes are written all or nothing.

A store is a mapping of the emulator (`AccountScopedDict`, `AccountRegionScopedDict`) or a plain value. Each of its
records is one row. Lists that only grow (stream records, log events) are stored item by item, so that a put costs the
same however long the list is. durability.py decides when to save.
"""

from __future__ import annotations

import ast
import json
import marshal
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployer.local.emulator.private_parts import UnknownState

#: Increase it when the meaning of rows changes.
FORMAT = 1
SCHEMA = """
create table if not exists record (
    service text not null, store text not null, scope text not null, kind text not null, value text not null,
    primary key (service, store, scope)
);
create table if not exists item (
    list text not null, position integer not null, value text not null, primary key (list, position)
) without rowid;
"""
#: (service, store) -> where the growing lists are: record[outer][any name][inner], and what identifies an item.
GROWING = {
    ("kinesis", "streams"): ("shards", "records", "SequenceNumber"),
    ("cloudwatch_logs", "log_groups"): ("streams", "events", "eventId"),
}
#: (service, store) -> records that are lists of many independent things; each is a row of its own, named by this member.
SPLIT = {("glue", "partitions"): "Values"}

#: Service and store.
Key = tuple[str, str]
#: Where a record is in its store: owner (account, region), key, and the part's name; () is the store itself.
Place = tuple[Any, ...]


@dataclass
class KnownList:
    """What the file holds of one growing list."""

    begin: int = 0
    count: int = 0
    last: Any = None


@dataclass
class Changes:
    """Statements to run, and what to remember once they have run."""

    upserts: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    deletes: list[tuple[str, str, str]] = field(default_factory=list)
    items: list[tuple[str, int, str]] = field(default_factory=list)
    trims: list[tuple[str, int]] = field(default_factory=list)
    prints: list[tuple[Key, Place, int | None]] = field(default_factory=list)
    lists: dict[str, KnownList] = field(default_factory=dict)


class StateStore:
    """Remembers a fingerprint of each record, so that `save` writes only those that differ."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        (found,) = self._database.execute("pragma user_version").fetchone()
        if found not in (0, FORMAT):
            raise UnknownState(
                f"{path} has format {found}, this program expects {FORMAT}; `dataops local reset` deletes it"
            )
        # A killed process loses nothing that was committed; a power cut may lose the last commits, never the file.
        self._database.executescript("pragma journal_mode = wal; pragma synchronous = normal;" + SCHEMA)
        self._database.execute(f"pragma user_version = {FORMAT}")
        self._prints: dict[Key, dict[Place, int]] = {}
        self._lists: dict[str, KnownList] = {}

    def save(self, stores: Mapping[Key, Any]) -> int:
        """Save these (service, store) -> store in one transaction; return the number of changed rows."""
        changes = Changes()
        for key, store in stores.items():
            self._collect(key, store, changes)
        changed = len(changes.upserts) + len(changes.deletes) + len(changes.items) + len(changes.trims)
        if changed:
            self._write(changes)
        return changed

    def load(self) -> dict[str, dict[str, Any]]:
        """Return service -> store -> its content, as the emulator's services restore it."""
        found: dict[str, dict[str, Any]] = {}
        lists = self._load_lists()
        rows = self._database.execute("select service, store, scope, kind, value from record order by rowid")
        for service, store, scope, kind, text in rows:
            content = found.setdefault(service, {})
            value, place = decode(text), read_place(scope)
            self._prints.setdefault((service, store), {})[place] = hash(_bytes(value))
            if kind == "value":
                content[store] = value
                continue
            mapping = content.setdefault(store, scoped_type(kind)())
            if place:
                _put_lists(service, store, scope, value, lists)
                _put_record(mapping._data, place, value, split=(service, store) in SPLIT)
        return found

    def _load_lists(self) -> dict[str, list[Any]]:
        lists: dict[str, list[Any]] = {}
        for name, position, text in self._database.execute("select list, position, value from item order by 1, 2"):
            items = lists.setdefault(name, [])
            items.append(decode(text))
            known = self._lists.setdefault(name, KnownList(begin=position))
            known.count += 1
        for name, items in lists.items():
            service, store, _, _ = json.loads(name)
            self._lists[name].last = items[-1].get(GROWING[service, store][2])
        return lists

    def _collect(self, key: Key, store: Any, changes: Changes) -> None:
        service, name = key
        kind = kind_of(store)
        known = self._prints.setdefault(key, {})
        present = set()
        for place, value in _records(store, kind, SPLIT.get(key)):
            present.add(place)
            if key in GROWING and place:
                value = self._without_lists(key, write_place(place), value, changes)
            fingerprint = hash(_bytes(value))
            if known.get(place) != fingerprint:
                changes.upserts.append((service, name, write_place(place), kind, encode(value)))
                changes.prints.append((key, place, fingerprint))
        for place in known.keys() - present:
            changes.deletes.append((service, name, write_place(place)))
            changes.prints.append((key, place, None))

    def _without_lists(self, key: Key, scope: str, value: Any, changes: Changes) -> Any:
        """Return `value` with its growing lists emptied; their new items go to `changes`."""
        outer, inner, identity = GROWING[key]
        light = {}
        for name, part in list(value[outer].items()):
            self._collect_items(json.dumps([*key, scope, name]), list(part[inner]), identity, changes)
            light[name] = {**part, inner: []}
        return {**value, outer: light}

    def _collect_items(self, name: str, items: list[Any], identity: str, changes: Changes) -> None:
        known = self._lists.get(name, KnownList())
        position = next((at for at in range(len(items) - 1, -1, -1) if items[at].get(identity) == known.last), -1)
        trimmed = known.count - (position + 1)
        if known.count and (position < 0 or trimmed < 0):
            # This is not the old list with more items: drop the old one, and write all items at later positions.
            known, position, trimmed = KnownList(begin=known.begin + known.count), -1, 0
            changes.trims.append((name, known.begin))
        elif trimmed:
            known = KnownList(known.begin + trimmed, known.count - trimmed, known.last)
            changes.trims.append((name, known.begin))
        fresh = items[position + 1 :]
        if fresh:
            first = known.begin + known.count
            changes.items += [(name, first + offset, encode(item)) for offset, item in enumerate(fresh)]
            known = KnownList(known.begin, known.count + len(fresh), fresh[-1].get(identity))
        if known != self._lists.get(name, KnownList()):
            changes.lists[name] = known

    def _write(self, changes: Changes) -> None:
        database = self._database
        database.execute("begin immediate")
        try:
            database.executemany(
                "insert into record values (?, ?, ?, ?, ?) on conflict (service, store, scope)"
                " do update set kind = excluded.kind, value = excluded.value",
                changes.upserts,
            )
            database.executemany("delete from record where service = ? and store = ? and scope = ?", changes.deletes)
            database.executemany("delete from item where list = ? and position < ?", changes.trims)
            database.executemany("insert or replace into item values (?, ?, ?)", changes.items)
            for service, name, scope in changes.deletes:
                if (service, name) in GROWING:
                    prefix = json.dumps([service, name, scope])[:-1]
                    database.execute("delete from item where substr(list, 1, ?) = ?", (len(prefix), prefix))
            database.execute("commit")
        except BaseException:
            if database.in_transaction:  # if the disk is full, SQLite has already rolled back
                database.execute("rollback")
            raise
        for key, place, fingerprint in changes.prints:
            if fingerprint is None:
                self._prints[key].pop(place, None)
            else:
                self._prints[key][place] = fingerprint
        self._lists.update(changes.lists)


def _records(store: Any, kind: str, split_by: str | None) -> Iterator[tuple[Place, Any]]:
    """Yield each record with its place; a mapping also has a row of its own, so that an empty one is remembered."""
    if kind == "value":
        yield (), store
        return
    yield (), None
    for place, value in list(store._data.items()):
        if split_by is None:
            yield place, value
            continue
        yield (*place, None), []
        for part in list(value):
            yield (*place, tuple(part[split_by])), part


def _put_record(records: dict[Any, Any], place: Place, value: Any, *, split: bool) -> None:
    """Restore one row: the inverse of `_records`."""
    if not split:
        records[place] = value
        return
    *whole, part = place
    parts = records.setdefault(tuple(whole), [])
    if part is not None:
        parts.append(value)


def write_place(place: Place) -> str:
    return repr(place) if place else ""


def read_place(text: str) -> Place:
    return tuple(ast.literal_eval(text)) if text else ()


def kind_of(store: Any) -> str:
    return {"AccountScopedDict": "account", "AccountRegionScopedDict": "region"}.get(type(store).__name__, "value")


def scoped_type(kind: str) -> Any:
    from ministack.core import responses

    return responses.AccountScopedDict if kind == "account" else responses.AccountRegionScopedDict


def _bytes(value: Any) -> bytes:
    """Return a cheap and unambiguous serialization, for comparing only."""
    try:
        return marshal.dumps(value, 2)  # version 2 has no references, so equal values give equal bytes
    except ValueError:
        return encode(value).encode()


def encode(value: Any) -> str:
    """Return JSON with the emulator's own tags for bytes and nested mappings."""
    from ministack.core import persistence

    return json.dumps(value, default=persistence._json_default, separators=(",", ":"))


def decode(text: str) -> Any:
    from ministack.core import persistence

    return json.loads(text, object_hook=persistence._json_object_hook)


def _put_lists(service: str, store: str, scope: str, value: Any, lists: Mapping[str, list[Any]]) -> None:
    """Put the items back into the growing lists of a loaded record."""
    if (service, store) in GROWING:
        outer, inner, _ = GROWING[service, store]
        for name, part in value[outer].items():
            part[inner] = list(lists.get(json.dumps([service, store, scope, name]), []))
