"""The boto3 adapter of the `RecordStore` port: one bucket over an S3 client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployer.aws.calls import translating
from deployer.ledger.store import RecordStore, Stored

_ALREADY_THERE = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_NOT_THERE = {"NoSuchKey", "404", "NotFound"}


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
