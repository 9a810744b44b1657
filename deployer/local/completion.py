"""A completion: a module that replaces or wraps a part of the emulator.

It has ``install(cloud)``, which is called once, before the emulator serves. If it handles requests before the emulator
does, it also has ``middleware(cloud, app)``. process/launcher.py lists the completions in their order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from deployer.local.paths import LocalPaths

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class LocalCloud:
    """What a completion may know of the process that it completes."""

    paths: LocalPaths
    ports: dict[str, int]
    #: Called when the process ends in an orderly way, before the state is saved for the last time.
    at_end: list[Callable[[], None]] = field(default_factory=list)
    #: Write changes to disk; filled by state/durability.py. Whoever answers without HTTP (SFTP) calls `save` first.
    savers: list[Callable[[], None]] = field(default_factory=list)

    def save(self) -> None:
        """Write all changes to disk; raise when that fails."""
        for saver in self.savers:
            saver()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['gateway']}"
