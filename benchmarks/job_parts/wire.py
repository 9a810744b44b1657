"""What lies between the job and its services: counts each request, in whatever process, and lets it take its time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Operation:
    """All requests of one operation."""

    requests: int
    payload_bytes: int
    """Bytes of objects that these have sent or received."""


@dataclasses.dataclass(frozen=True)
class Wire:
    """Travels with the clients to Spark's workers; each process appends to the same file."""

    log: Path
    latency_seconds: float = 0.0
    """Before each answer, as a network and a service take it."""

    def request(self, operation: str, payload_bytes: int = 0) -> None:
        if self.latency_seconds:
            time.sleep(self.latency_seconds)
        with self.log.open("ab", buffering=0) as file:  # one short write, which the system does not divide
            file.write(f"{payload_bytes} {operation}\n".encode())

    def clear(self) -> None:
        self.log.write_bytes(b"")

    def counted(self) -> Mapping[str, Operation]:
        """Service and operation -> what was asked since the log was cleared."""
        found: dict[str, Operation] = {}
        for line in self.log.read_text().splitlines():
            payload, _, name = line.partition(" ")
            before = found.get(name, Operation(0, 0))
            found[name] = Operation(before.requests + 1, before.payload_bytes + int(payload))
        return dict(sorted(found.items()))
