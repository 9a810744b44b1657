"""What a deployment or a job reports while it runs: frozen events, and the port that receives them. progress.py shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Said:
    """Talk: what the run is about to do."""

    text: str


@dataclass(frozen=True)
class StackStarted:
    stack: str
    what: str


@dataclass(frozen=True)
class ResourceMoved:
    """One resource of a running stack."""

    stack: str
    logical_id: str
    type: str
    status: str
    reason: str


@dataclass(frozen=True)
class StackEnded:
    stack: str
    outcome: str
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class Doing:
    """What a job is doing, and for how many seconds it has been running; empty when it has ended."""

    text: str
    seconds: float


Event = Said | Doing | StackStarted | ResourceMoved | StackEnded


class Progress(Protocol):
    """Receives events from several threads."""

    wants_resources: bool

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...
