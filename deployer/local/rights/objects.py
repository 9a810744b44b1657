"""What a service may do with S3 objects through its role, keys included, when it does not go through S3's API.

Spark's mounts, Firehose's files, Athena's tables and results are read and written in the emulator's own process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployer.local.rights import entails
from deployer.local.rights.judging import Access, Denied, refusal

Headers = dict[str, str]


@dataclass(frozen=True)
class ObjectRights:
    """The permissions of one principal; None is the local cloud itself, which may do everything."""

    principal: Any

    def require(self, action: str, bucket: str, key: str = "", *, prefix: str | None = None) -> None:
        """Raise `Denied` unless this is allowed on the bucket (for keys with a prefix), or on the object."""
        self._all([Access(action, _arn(bucket, key), {} if prefix is None else {"s3:prefix": prefix})])

    def require_read(self, bucket: str, key: str) -> None:
        self._all([Access("s3:GetObject", _arn(bucket, key)), *entails.of_read_object(bucket, key)])

    def may_read(self, bucket: str, key: str) -> bool:
        try:
            self.require_read(bucket, key)
        except Denied:
            return False
        return True

    def require_write(self, bucket: str, key: str, headers: Headers | None = None) -> None:
        context = {f"s3:{name}": value for name, value in (headers or {}).items() if name.startswith("x-amz-server")}
        context |= {"s3:objectcreationoperation": "true", "s3:tlsversion": "1.3"}
        written = Access("s3:PutObject", _arn(bucket, key), context)
        self._all([written, *entails.of_written_object(bucket, key, headers or {})])

    def _all(self, accesses: list[Access]) -> None:
        for access in accesses:
            if (found := refusal(self.principal, access)) is not None:
                raise Denied(found.message)


def _arn(bucket: str, key: str) -> str:
    return f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
