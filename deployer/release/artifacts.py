"""Releases in the artifacts bucket: stored once under their content's hash, fetched with every hash checked.
What a release is made of is release.py's business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from deployer.errors import DataopsError, Refused, UsageError
from deployer.ledger.store import RecordStore, readable
from deployer.release.release import Release, ReleaseFile, artifact_key, release_id, release_key, short

_AT_ONCE = 8


@dataclass(frozen=True)
class Upload:
    """What storing a release moved."""

    files: int
    bytes: int


def store_release(store: RecordStore, release: Release) -> Upload:
    """Store what is not there yet, then the manifest. An unchanged release moves 0 bytes and nothing is overwritten."""
    if store.exists(release.key):
        return Upload(0, 0)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sizes = list(pool.map(lambda file: store_file(store, file), release.files.values()))
    store.create(release.key, readable(release.manifest))
    return Upload(sum(size is not None for size in sizes), sum(size or 0 for size in sizes))


def store_file(store: RecordStore, file: ReleaseFile) -> int | None:
    """Upload an artifact and return the number of bytes, None if it existed already."""
    if store.exists(file.key) or store.create(file.key, file.content) is None:
        return None
    return len(file.content)


def fetch_manifest(store: RecordStore, release: str) -> Mapping[str, Any]:
    """Return the manifest of a stored release; refuse one whose content does not match its id."""
    found = store.get(release_key(release))
    if found is None:
        raise DataopsError(
            f"there is no release {short(release)} in this environment's artifacts bucket",
            hint="dataops history --env ... lists the releases",
        )
    manifest: Mapping[str, Any] = json.loads(found.body)
    if release_id(manifest) != release:
        raise Refused(
            f"the manifest of release {short(release)} was changed: its content has a different hash",
            where=release_key(release),
            hint="restore the object's first version, or build a new release",
        )
    return manifest


def fetch_release(store: RecordStore, release: str) -> Release:
    """Return a stored release with all its bytes, each checked against its hash."""
    manifest = fetch_manifest(store, release)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        files = pool.map(lambda item: fetch_file(store, *item), manifest["files"].items())
        return Release(manifest, {file.path: file for file in files})


def fetch_file(store: RecordStore, path: str, listed: Mapping[str, Any]) -> ReleaseFile:
    key = artifact_key(path, listed["sha256"])
    found = store.get(key)
    if found is None:
        raise Refused(
            f"{path} of the release is gone from the artifacts bucket",
            where=key,
            hint="restore the object's version, or build a new release",
        )
    if sha256(found.body).hexdigest() != listed["sha256"]:
        raise Refused(
            f"{path} of the release was changed in the artifacts bucket: its bytes have a different hash",
            where=key,
            hint="restore the object's first version, or build a new release",
        )
    return ReleaseFile(path, listed["kind"], found.body)


def matching_release(store: RecordStore, start: str, environment: str) -> str:
    """Return the full id of the one stored release of an environment that starts like this. Raise UsageError for none or several."""
    ids = [key.removeprefix(release_key("")[:-5]).removesuffix(".json") for key in store.keys(release_key(start)[:-5])]
    match ids:
        case [one]:
            return one
        case []:
            hint = f"dataops history --env {environment} lists them"
            raise UsageError(f"no stored release of {environment} starts with {start!r}", hint=hint)
        case _:
            raise UsageError(f"{len(ids)} stored releases start with {start!r}", hint="give more of the id")
