"""Files of an SFTP session as S3 objects: what a client sees and does, with its user's permissions.

A file is put when its client closes it or disconnects, complete or not: Transfer Family keeps what it has received,
too. Every change of an object is saved before the client is answered.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import quote

import asyncssh
from asyncssh import SFTPAttrs, SFTPName
from asyncssh.constants import FILEXFER_TYPE_DIRECTORY, FILEXFER_TYPE_REGULAR

from deployer.local.emulator.private_parts import load
from deployer.local.rights.judging import Denied
from deployer.local.rights.objects import ObjectRights
from deployer.local.transfer.server_log import note
from deployer.local.transfer.user_rights import rights_of

WRITE, APPEND, TRUNCATE, EXCLUSIVE = 0x02, 0x04, 0x10, 0x20


class OpenFile:
    """A file that a client reads or writes."""

    def __init__(self, path: str, bucket: str, key: str, content: IO[bytes], *, is_written: bool) -> None:
        self.path, self.bucket, self.key, self.content, self.is_written = path, bucket, key, content, is_written

    def size(self) -> int:
        return self.content.seek(0, 2)


class SftpFiles(asyncssh.SFTPServer):
    """One session. `save` writes all changes to disk."""

    def __init__(self, channel: Any, save: Callable[[], None]) -> None:
        super().__init__(channel)
        connection = channel.get_connection()
        self._user: Mapping[str, Any] = connection.get_extra_info("ministack_user")
        self._account: str = connection.get_extra_info("ministack_account_id")
        self._region: str = connection.get_extra_info("ministack_region")
        self._server_id: str = connection.get_extra_info("ministack_server_id")
        self._session = uuid.uuid4().hex[:16]
        self._save = save
        self._open: set[OpenFile] = set()
        self._s3 = load("services.s3")

    # Where a path leads, and what the user may do there.

    def _place(self, path: bytes) -> tuple[str, str]:
        responses, transfer = load("core.responses"), load("services.transfer")
        responses.set_request_account_id(self._account)
        responses.set_request_region(self._region)
        bucket, key = transfer._sftp_resolve_s3_target(self._user, path.decode("utf-8", "replace"))
        if not bucket:
            raise asyncssh.SFTPPermissionDenied("outside of the user's folders")
        return str(bucket), str(key)

    def _require(self, asked: Callable[[ObjectRights], None], operation: str, path: str) -> None:
        """Check the user's permissions; the reason for a denial is in the server's log, and the client is not told it."""
        try:
            asked(rights_of(self._user))
        except Denied as error:
            details = {"message": str(error), "operation": operation, "path": path}
            note(self._server(), self._user, self._session, "ERROR", **details)
            raise asyncssh.SFTPPermissionDenied("Access denied") from error

    def _require_list(self, bucket: str, prefix: str) -> None:
        self._require(lambda rights: rights.require("s3:ListBucket", bucket, prefix=prefix), "LIST", prefix)

    def _require_put(self, bucket: str, key: str) -> None:
        self._require(lambda rights: rights.require_write(bucket, key), "PUT", key)

    def _require_get(self, bucket: str, key: str) -> None:
        self._require(lambda rights: rights.require_read(bucket, key), "GET", key)

    def _require_delete(self, bucket: str, key: str) -> None:
        self._require(lambda rights: rights.require("s3:DeleteObject", bucket, key), "DELETE", key)

    def _server(self) -> Mapping[str, Any]:
        server: Mapping[str, Any] = load("services.transfer")._servers.get_scoped(
            self._account, self._region, self._server_id
        )
        return server

    def _objects(self, bucket: str) -> Mapping[str, Any]:
        record = self._s3._buckets._data.get((self._account, bucket))
        if record is None:
            raise asyncssh.SFTPNoSuchFile(f"no bucket {bucket}")
        objects: Mapping[str, Any] = record["objects"]
        return objects

    # Attributes and directories.

    def realpath(self, path: bytes) -> bytes:
        normalized: str = load("services.transfer")._sftp_normalize_virtual_path(path.decode("utf-8", "replace"))
        return normalized.encode()

    def stat(self, path: bytes) -> SFTPAttrs:
        bucket, key = self._place(path)
        self._require_list(bucket, key)
        objects = self._objects(bucket)
        if key in objects:
            return _file(objects[key])
        if self.realpath(path) == b"/" or any(name.startswith(f"{key}/") for name in objects):
            return _directory()
        raise asyncssh.SFTPNoSuchFile("No such file")

    lstat = stat

    async def scandir(self, path: bytes) -> AsyncIterator[SFTPName]:
        bucket, key = self._place(path)
        prefix = f"{key.rstrip('/')}/"
        self._require_list(bucket, prefix)
        found: dict[str, SFTPAttrs] = {".": _directory(), "..": _directory()}
        for name, record in self._objects(bucket).items():
            if name.startswith(prefix) and name != prefix:
                entry, separator, _ = name[len(prefix) :].partition("/")
                found.setdefault(entry, _directory() if separator else _file(record))
        for entry, attributes in sorted(found.items()):
            yield SFTPName(entry.encode(), _long_name(entry, attributes).encode(), attributes)

    # Files.

    def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> OpenFile:
        bucket, key = self._place(path)
        shown = self.realpath(path).decode()
        exists = key in self._objects(bucket)
        if not pflags & WRITE:
            return self._open_to_read(shown, bucket, key, exists=exists)
        self._require_put(bucket, key)
        if pflags & APPEND or (exists and not pflags & TRUNCATE):
            raise asyncssh.SFTPOpUnsupported("an object cannot be appended to: send the whole file")
        if exists and pflags & EXCLUSIVE:
            raise asyncssh.SFTPFailure("File exists")
        opened = OpenFile(shown, bucket, key, TemporaryFile(), is_written=True)  # noqa: SIM115 - closed with the file
        self._open.add(opened)
        note(self._server(), self._user, self._session, "OPEN", path=f"/{bucket}/{key}", mode="CREATE|TRUNCATE|WRITE")
        return opened

    def _open_to_read(self, shown: str, bucket: str, key: str, *, exists: bool) -> OpenFile:
        self._require_get(bucket, key)
        if not exists:
            raise asyncssh.SFTPNoSuchFile("No such file")
        with self._s3._in_account(self._account):
            where = self._s3._object_disk_path(bucket, key, self._account)
        opened = OpenFile(shown, bucket, key, open(where, "rb"), is_written=False)  # noqa: SIM115
        self._open.add(opened)
        return opened

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        content = _opened(file_obj).content
        content.seek(offset)
        return content.read(size)

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        content = _opened(file_obj).content
        content.seek(offset)
        return content.write(data)

    def close(self, file_obj: object) -> None:
        self._finish(_opened(file_obj), "CLOSE")

    def exit(self) -> None:
        """Put what a client has sent of its open files when it disconnects."""
        for each in list(self._open):
            self._finish(each, "PARTIAL_CLOSE")

    def _finish(self, opened: OpenFile, activity: str) -> None:
        self._open.discard(opened)
        with opened.content:
            if opened.is_written:
                opened.content.seek(0)
                body = opened.content.read()
                self._put(opened.bucket, opened.key, body)
                path = f"/{opened.bucket}/{opened.key}"
                note(self._server(), self._user, self._session, activity, path=path, **{"bytes-in": len(body)})
                self._save()

    def _put(self, bucket: str, key: str, body: bytes, **headers: str) -> None:
        self._require_put(bucket, key)
        sent = {"content-type": "application/octet-stream", "content-length": str(len(body)), **headers}
        with self._s3._in_account(self._account):
            status, _, answer = self._s3._dispatch("PUT", bucket, key, sent, body, {})
        if status >= 300:
            raise asyncssh.SFTPFailure(f"S3 answers {status}: {answer!r}")

    def fstat(self, file_obj: object) -> SFTPAttrs:
        return _attributes(FILEXFER_TYPE_REGULAR, 0o100644, _opened(file_obj).size(), time.time())

    # Renaming and deleting.

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        _, key = self._place(newpath)
        if key in self._objects(self._place(newpath)[0]):
            raise asyncssh.SFTPFailure("File exists")
        self.posix_rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Copy the object and delete it under its old name, since S3 cannot rename."""
        bucket, old = self._place(oldpath)
        target, new = self._place(newpath)
        self._require_get(bucket, old)
        self._require_delete(bucket, old)
        self._require_put(target, new)
        if old not in self._objects(bucket):
            raise asyncssh.SFTPNoSuchFile("No such file")
        self._put(target, new, b"", **{"x-amz-copy-source": f"/{bucket}/{quote(old)}"})
        self._delete(bucket, old)
        note(
            self._server(),
            self._user,
            self._session,
            "RENAME",
            path=f"/{bucket}/{old}",
            **{"new-path": f"/{target}/{new}"},
        )
        self._save()

    def remove(self, path: bytes) -> None:
        bucket, key = self._place(path)
        self._require_delete(bucket, key)
        if key not in self._objects(bucket):
            raise asyncssh.SFTPNoSuchFile("No such file")
        self._delete(bucket, key)
        note(self._server(), self._user, self._session, "DELETE", path=f"/{bucket}/{key}")
        self._save()

    def _delete(self, bucket: str, key: str) -> None:
        with self._s3._in_account(self._account):
            self._s3._dispatch("DELETE", bucket, key, {}, b"", {})

    def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:
        bucket, key = self._place(path)
        self._put(bucket, f"{key.rstrip('/')}/", b"")
        self._save()

    def rmdir(self, path: bytes) -> None:
        bucket, key = self._place(path)
        self._require_delete(bucket, f"{key.rstrip('/')}/")
        self._delete(bucket, f"{key.rstrip('/')}/")
        self._save()

    # SetStatOption ENABLE_NO_OP: S3 has neither times nor modes of files.

    def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Do nothing."""

    def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        """Do nothing."""


def _opened(handle: object) -> OpenFile:
    assert isinstance(handle, OpenFile)
    return handle


def _attributes(kind: int, permissions: int, size: int, modified: float) -> SFTPAttrs:
    moment = int(modified)
    return SFTPAttrs(type=kind, size=size, uid=0, gid=0, permissions=permissions, atime=moment, mtime=moment)


def _file(record: Mapping[str, Any]) -> SFTPAttrs:
    modified = datetime.fromisoformat(str(record["last_modified"])).timestamp()
    return _attributes(FILEXFER_TYPE_REGULAR, 0o100644, int(record.get("size", 0)), modified)


def _directory() -> SFTPAttrs:
    return _attributes(FILEXFER_TYPE_DIRECTORY, 0o040755, 0, time.time())


def _long_name(name: str, attributes: SFTPAttrs) -> str:
    mode = "drwxr-xr-x" if attributes.type == FILEXFER_TYPE_DIRECTORY else "-rw-r--r--"
    day = time.strftime("%b %d %H:%M", time.gmtime(attributes.mtime))
    return f"{mode} 1 sftp sftp {attributes.size or 0:>12} {day} {name}"
