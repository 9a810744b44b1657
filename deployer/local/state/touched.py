"""Records which of the emulator's stores have been used, and when.

All state of the emulator lives in two dictionary classes. Every access to one of them goes through its ``_data``, which
leaves a mark here. A response cannot show a change in a store without a mark, so only marked stores are compared with
what is saved.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import MemberDescriptorType
from typing import Any

from deployer.local.emulator.private_parts import EmulatorChanged, load

#: A thread may change a record a moment after its mark, so marks of this age count once more.
LINGER_SECONDS = 0.25

_request: ContextVar[set[int] | None] = ContextVar("touched_by_request", default=None)
_snapshot: ContextVar[bool] = ContextVar("snapshot", default=False)


class Marks:
    """The last access to each store, by ``id`` (stores live as long as the process)."""

    def __init__(self) -> None:
        self._at: dict[int, float] = {}
        self._taken_at = 0.0

    def mark(self, store: int) -> None:
        if _snapshot.get():
            return
        self._at[store] = time.monotonic()
        if (touched := _request.get()) is not None:
            touched.add(store)

    def take(self) -> set[int]:
        """Return everything touched since the last call, with a little overlap."""
        since, self._taken_at = self._taken_at - LINGER_SECONDS, time.monotonic()
        recent = {store for store, at in list(self._at.items()) if at >= since}
        for store in [store for store, at in list(self._at.items()) if at < since]:
            self._at.pop(store, None)
        return recent

    @contextmanager
    def request(self) -> Iterator[set[int]]:
        """Collect the stores that this request (including its threads and tasks) touches."""
        touched: set[int] = set()
        token = _request.set(touched)
        try:
            yield touched
        finally:
            _request.reset(token)


def watch(marks: Marks) -> None:
    """Make both dictionary classes leave marks, and let `snapshot` see them without copying."""
    responses = load("core.responses")
    for name in ("AccountScopedDict", "AccountRegionScopedDict"):
        cls = getattr(responses, name, None)
        slot = cls.__dict__.get("_data") if cls is not None else None
        if not isinstance(slot, MemberDescriptorType):
            raise EmulatorChanged(f"ministack.core.responses.{name} keeps its data elsewhere")
        _watch_class(cls, slot, marks)


def _watch_class(cls: Any, slot: Any, marks: Marks) -> None:
    get, put, mark = slot.__get__, slot.__set__, marks.mark

    def read(self: Any) -> Any:
        mark(id(self))
        return get(self)

    def deepcopy(self: Any, memo: dict[int, Any]) -> Any:
        if _snapshot.get():
            return self
        twin = cls()
        put(twin, copy.deepcopy(get(self), memo))
        return twin

    cls._data = property(read, put)
    cls.__deepcopy__ = deepcopy


@contextmanager
def snapshot() -> Iterator[None]:
    """Read without leaving marks; a deep copy of a store is the store itself, so ``get_state()`` is cheap."""
    token = _snapshot.set(True)
    try:
        yield
    finally:
        _snapshot.reset(token)
