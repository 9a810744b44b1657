"""Buckets as directories while a job runs, kept in step with S3 in both directions.

Spark reads and writes ``s3://`` URIs through a mount: a directory per bucket in which every object is a hard link to
the emulator's data file. What the API writes during the run is linked at once (`changed_object`); what Spark has
finished writing becomes an object before any request is answered (`import_finished`). Unfinished files
(``_temporary``, hidden names, checksums) are ignored. A mount shows only what the job's role may read, and a write that
the role may not make ends the run.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from deployer.local.emulator.private_parts import load, require
from deployer.local.rights.judging import Denied
from deployer.local.rights.objects import ObjectRights

#: The kernel sets time stamps once per tick, so a directory that changed this recently is checked again.
TICK_NANOSECONDS = 50_000_000

Signature = tuple[int, int, int]


def is_unfinished(name: str) -> bool:
    """Return whether Spark or Hadoop is still working on this file or directory."""
    return name.startswith(".") or name.endswith(".crc") or name == "_temporary"


class Mount:
    """The buckets of one account below `root`, for the duration of one job run."""

    def __init__(
        self, root: Path, account: str, rights: ObjectRights, refuse: Callable[[str], None], headers: Mapping[str, str]
    ) -> None:
        self.root = root
        self.account = account
        self._rights, self._refuse, self._headers = rights, refuse, headers
        self._written: set[str] = set()
        self._s3 = load("services.s3")
        self._files: dict[Path, dict[str, Signature]] = {}
        self._looked_at: dict[Path, int] = {}
        self._lock = threading.RLock()

    def buckets(self) -> dict[str, Path]:
        """Return bucket name -> its directory."""
        return {path.name: path for path in self.root.iterdir()}

    def populate(self) -> None:
        """Link every object of the account's buckets."""
        for (account, bucket), record in list(self._s3._buckets._data.items()):
            if account == self.account:
                (self.root / bucket).mkdir(parents=True)
                for key in list(record["objects"]):
                    self.changed_object(bucket, key)
        for directory, _, _ in os.walk(self.root):
            self._files.setdefault(Path(directory), {})
            self._looked_at[Path(directory)] = os.stat(directory).st_mtime_ns

    def changed_object(self, bucket: str, key: str) -> None:
        """Make the mount show what S3 now has under this key."""
        bucket_directory = self.root / bucket
        if not bucket_directory.is_dir() or not self._s3._plain_path_key(key):
            return
        path = bucket_directory / key
        record = (self._s3._buckets._data.get((self.account, bucket)) or {"objects": {}})["objects"].get(key)
        with self._lock:
            if record is None:
                path.unlink(missing_ok=True)
                self._files.get(path.parent, {}).pop(path.name, None)
                return
            if not self._rights.may_read(bucket, key):
                return
            source = self._s3._object_disk_path(bucket, key, self.account)
            _set_time(source, record.get("last_modified"))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _link(source, path)
            except (NotADirectoryError, FileExistsError, IsADirectoryError):
                return  # a key below another key: S3 can have both, a file system cannot
            self._files.setdefault(path.parent, {})[path.name] = _signature(os.stat(path))

    def import_finished(self, *, last: bool = False) -> None:
        """Turn what Spark has finished since the last call into objects; `last` compares every file once more."""
        with self._lock:
            for directory in list(self._looked_at):
                self._look_again(directory, everything=last)

    def _look_again(self, directory: Path, *, everything: bool) -> None:
        try:
            changed_at = os.stat(directory).st_mtime_ns
        except FileNotFoundError:
            self._looked_at.pop(directory, None)
            for name in list(self._files.pop(directory, {})):
                self._delete(directory / name)
            return
        if not everything and self._looked_at.get(directory) == changed_at:
            return
        settled = time.time_ns() - changed_at > TICK_NANOSECONDS
        self._looked_at[directory] = changed_at if settled else -1
        self._compare(directory, everything=everything)

    def _compare(self, directory: Path, *, everything: bool) -> None:
        known = self._files.setdefault(directory, {})
        present: set[str] = set()
        with os.scandir(directory) as entries:
            for entry in list(entries):
                if is_unfinished(entry.name) and entry.name not in known:  # an object may have such a name, too
                    continue
                try:
                    if entry.is_dir():
                        if Path(entry.path) not in self._looked_at:
                            self._look_again(Path(entry.path), everything=everything)
                        continue
                    present.add(entry.name)
                    if known.get(entry.name) != _signature(entry.stat()):
                        self._import(Path(entry.path))
                except FileNotFoundError:
                    continue  # renamed in the meantime; the next look finds its new name
        for name in set(known) - present:
            known.pop(name)
            self._delete(directory / name)

    def _import(self, path: Path) -> None:
        bucket, key = self._bucket_and_key(path)
        if not key:
            return
        body = path.read_bytes()
        headers = {
            **self._headers,
            "content-type": "application/octet-stream",
            "content-length": str(len(body)),
        }
        with self._s3._in_account(self.account):
            try:
                self._require_write(bucket, key)
            except Denied as denied:
                self._refuse(f"AccessDenied: {denied}")
                return
            status, _, answer = self._s3._put_object(bucket, key, body, headers)
        if status >= 300:
            self._refuse(f"s3://{bucket}/{key} was written by the job but S3 refuses it: {answer!r}")

    def _delete(self, path: Path) -> None:
        bucket, key = self._bucket_and_key(path)
        if key:
            with self._s3._in_account(self.account):
                try:
                    self._rights.require("s3:DeleteObject", bucket, key)
                except Denied as denied:
                    self._refuse(f"AccessDenied: {denied}")
                    return
                self._s3._delete_object(bucket, key, {}, {})

    def _require_write(self, bucket: str, key: str) -> None:
        """Raise `Denied` where S3A would be refused: it checks the bucket and its open uploads before it writes."""
        if bucket not in self._written:
            for action in ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"):
                self._rights.require(action, bucket)
            self._written.add(bucket)
        self._rights.require_write(bucket, key, dict(self._headers))

    def _bucket_and_key(self, path: Path) -> tuple[str, str]:
        bucket, _, key = str(path.relative_to(self.root)).partition("/")
        return bucket, key


class Mounts:
    """The mounts of the runs that are active now."""

    def __init__(self) -> None:
        self._active: list[Mount] = []

    def open(
        self, root: Path, account: str, rights: ObjectRights, refuse: Callable[[str], None], headers: Mapping[str, str]
    ) -> Mount:
        """Return a populated mount that follows S3 until `close`; writes that `rights` do not allow are passed to `refuse`.

        `headers` set the encryption of what the job writes.
        """
        mount = Mount(root, account, rights, refuse, headers)
        mount.populate()
        self._active.append(mount)
        return mount

    def close(self, mount: Mount) -> None:
        """Import what the job left behind and forget the mount; its directory is the caller's to remove."""
        mount.import_finished(last=True)
        self._active.remove(mount)

    def import_finished(self) -> None:
        """Put everything that jobs have finished writing into S3, before a request is answered."""
        for mount in list(self._active):
            mount.import_finished()

    def changed_object(self, bucket: str, key: str, account: str) -> None:
        for mount in list(self._active):
            if mount.account == account:
                mount.changed_object(bucket, key)

    def follow(self, s3: Any) -> None:
        """Update the mounts whenever the emulator writes or removes an object."""
        for name, parameters in {
            "_persist_object": ("bucket", "key", "obj"),
            "_persist_delete_marker": ("bucket_name", "key", "marker"),
            "_delete_persisted_object": ("bucket_name", "key"),
        }.items():
            setattr(s3, name, self._followed(s3, require(s3, name, parameters)))

    def _followed(self, s3: Any, original: Any) -> Any:
        def write(bucket: str, key: str, *rest: Any) -> Any:
            result = original(bucket, key, *rest)
            if self._active:
                self.changed_object(bucket, key, s3.get_account_id())
            return result

        return write


#: The mounts of this process: job runs open them, and Athena imports what jobs have finished before it reads.
MOUNTS = Mounts()


def _link(source: str, target: Path) -> None:
    """Put a hard link (or a copy, from another device) at `target` in one step."""
    beside = target.with_name(f".link-{target.name}"[:255])
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:
        shutil.copy2(source, beside)
    os.replace(beside, target)
    beside.unlink(missing_ok=True)  # rename(2) does nothing when both are links to one file


def _set_time(path: str, last_modified: Any) -> None:
    """Give the data file the object's modification time, for readers of the mount."""
    if last_modified:
        moment = datetime.fromisoformat(str(last_modified)).timestamp()
        if abs(os.stat(path).st_mtime - moment) > 0.0005:
            os.utime(path, (moment, moment))


def _signature(found: os.stat_result) -> Signature:
    return found.st_ino, found.st_mtime_ns, found.st_size
