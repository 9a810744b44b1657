"""Objects in the artifacts bucket, with the three writes that the deployer needs: create once, compare-and-swap, delete.
What is stored where is the business of release.py, ledger.py and lock.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Stored:
    """An object's bytes and the ETag that a compare-and-swap names."""

    body: bytes
    etag: str

    def document(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.body)
        return loaded


class RecordStore(Protocol):
    """One bucket."""

    def get(self, key: str) -> Stored | None:
        """Return the object, None when there is none."""

    def exists(self, key: str) -> bool:
        """Return whether the object exists (HEAD)."""

    def create(self, key: str, body: bytes) -> str | None:
        """Write a new object; its ETag, or None when one is there already (nothing is overwritten)."""

    def replace(self, key: str, body: bytes, etag: str) -> str | None:
        """Write only over that very version; the new ETag, or None when it is another one by now."""

    def delete(self, key: str, etag: str) -> bool:
        """Delete only that very version; False when it is another one or gone."""

    def keys(self, prefix: str) -> Sequence[str]:
        """Return all keys below a prefix, in order."""


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return JSON whose bytes depend only on the content."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def readable(document: Mapping[str, Any]) -> bytes:
    """Return JSON for records that people open."""
    return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
