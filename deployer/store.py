"""Objects in the artifacts bucket, with the three writes that the deployer rests on: create once, compare-and-swap, delete.
What is stored where is the business of release.py, ledger.py and lock.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from deployer.aws_calls import translating

_ALREADY_THERE = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_NOT_THERE = {"NoSuchKey", "404", "NotFound"}


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
        """The object, None when there is none."""

    def exists(self, key: str) -> bool:
        """Whether there is such an object (HEAD)."""

    def create(self, key: str, body: bytes) -> str | None:
        """Write a new object; its ETag, or None when one is there already (nothing is overwritten)."""

    def replace(self, key: str, body: bytes, etag: str) -> str | None:
        """Write only over that very version; the new ETag, or None when it is another one by now."""

    def delete(self, key: str, etag: str) -> bool:
        """Delete only that very version; False when it is another one or gone."""

    def keys(self, prefix: str) -> Sequence[str]:
        """All keys below a prefix, in order."""


@translating
class S3RecordStore(RecordStore):
    """`RecordStore` over an S3 client."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client, self.bucket = client, bucket

    def get(self, key: str) -> Stored | None:
        try:
            found = self._client.get_object(Bucket=self.bucket, Key=key)
        except self._client.exceptions.ClientError as error:
            if _code(error) in _NOT_THERE:
                return None
            raise
        return Stored(found["Body"].read(), found["ETag"])

    def exists(self, key: str) -> bool:
        try:
            self._client.head_object(Bucket=self.bucket, Key=key)
        except self._client.exceptions.ClientError as error:
            if _code(error) in _NOT_THERE:
                return False
            raise
        return True

    def create(self, key: str, body: bytes) -> str | None:
        return self._put(key, body, IfNoneMatch="*")

    def replace(self, key: str, body: bytes, etag: str) -> str | None:
        return self._put(key, body, IfMatch=etag)

    def _put(self, key: str, body: bytes, **condition: str) -> str | None:
        try:
            return str(self._client.put_object(Bucket=self.bucket, Key=key, Body=body, **condition)["ETag"])
        except self._client.exceptions.ClientError as error:
            if _code(error) in _ALREADY_THERE | _NOT_THERE:
                return None
            raise

    def delete(self, key: str, etag: str) -> bool:
        try:
            self._client.delete_object(Bucket=self.bucket, Key=key, IfMatch=etag)
        except self._client.exceptions.ClientError as error:
            if _code(error) in _ALREADY_THERE | _NOT_THERE:
                return False
            raise
        return True

    def keys(self, prefix: str) -> Sequence[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]


def _code(error: Any) -> str:
    return str(error.response["Error"].get("Code", ""))


def canonical(document: Mapping[str, Any]) -> bytes:
    """JSON whose bytes depend on the content alone."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def readable(document: Mapping[str, Any]) -> bytes:
    """JSON for records that people open."""
    return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
