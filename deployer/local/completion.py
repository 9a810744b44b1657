"""A completion is a module with ``install(cloud)``, and with ``middleware(cloud, app)`` if it handles requests first.

`install` takes hold of the emulator's names, once, before it serves; `middleware` wraps the application that answers.
Which completions there are, and their order, is process/launcher.py's list.
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
    #: What a completion wants done when the process ends in an orderly way, before the state is saved for the last time.
    at_end: list[Callable[[], None]] = field(default_factory=list)
    #: What puts changes on disk. Filled by durability; an answer that is no response of HTTP needs it before it leaves.
    savers: list[Callable[[], None]] = field(default_factory=list)

    def save(self) -> None:
        """Put on disk what has changed; raises when that fails."""
        for saver in self.savers:
            saver()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['gateway']}"
