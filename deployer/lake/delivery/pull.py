"""Route 1 in the other direction: copies objects from a partner's bucket, each once, under the name of a delivery.

The partner gives a role with an external id, or admits this account in its bucket's policy. What was copied before is
recognized by its name, which contains the object's key, size and ETag there, so it is not read again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from deployer.errors import UsageError
from deployer.lake.delivery.delivery import Delivery, put_new, size_text
from deployer.lake.delivery.files import HASH_LETTERS, LARGEST_FILE_BYTES, RawFile, suffix_of
from deployer.lake.deployed_lake import Lake, MissingOutput
from deployer.printable import printable

if TYPE_CHECKING:
    from deployer.aws.session import Session

PULLING = ("s3", "third-party")


def pull(session: Session, lake: Lake, route: str, source: str, say: Callable[[str], None]) -> list[Delivery]:
    """Copy the objects below a prefix, oldest first, as their order decides which version of a record is the last."""
    bucket, prefix = _bucket_and_prefix(source)
    target = lake.drop_prefix if route == "s3" else lake.third_party_prefix
    if target is None:
        raise MissingOutput(["DropPrefix" if route == "s3" else "ThirdPartyPrefix"], lake.environment)
    theirs = _reader(session) if route == "s3" else lake.s3
    found = _objects(theirs, bucket, prefix, say)
    there = {entry["Key"].rpartition("/")[2] for entry in _listing(lake.s3, lake.raw_bucket, target)}
    folder = f"{target}ingest_date={datetime.now(UTC):%Y-%m-%d}/"
    deliveries = []
    for number, entry in enumerate(found, start=1):
        name, is_new = _name(entry), False
        if name not in there:
            is_new = _copy(theirs, bucket, entry, lake, f"{folder}{name}")
        there.add(name)
        deliveries.append(Delivery(Path(entry["Key"]), f"{folder}{name}", is_new, entry["Size"]))
        done = "delivered" if is_new else "skipped: it was copied before"
        say(f"{number}/{len(found)} {printable(entry['Key'])} ({size_text(entry['Size'])}) {done}")
    return deliveries


def _bucket_and_prefix(source: str) -> tuple[str, str]:
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", source)
    if found is None:
        raise UsageError(f"{source}: is not a bucket with a prefix", hint="--from s3://BUCKET/PREFIX")
    return found[1], found[2] or ""


def _reader(session: Session) -> Any:
    """Return a client for S3 with the permissions of the partner's role, or with our own if the partner names no role."""
    partner = session.environment.partner
    if partner is None or partner.role is None:
        return session.client("s3")
    variable = partner.external_id_variable
    external_id = os.environ.get(variable, "") if variable else ""
    if not external_id:
        raise UsageError(
            f"the external id of {partner.role} is not known",
            hint=f"export {variable}=..."
            if variable
            else "set external_id_variable of partner to the variable that holds it",
        )
    session.verify_identity()
    return session.as_role(partner.role, external_id=external_id, name="dataops-ingest").client("s3")


def _objects(s3: Any, bucket: str, prefix: str, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return what can be copied, oldest first; report the rest."""
    found = []
    for entry in _listing(s3, bucket, prefix):
        name = entry["Key"].rpartition("/")[2]
        if not suffix_of(Path(name)) or name.startswith((".", "_")):
            say(f"left out: {printable(entry['Key'])}: not a file of a known format")
        elif entry["Size"] > LARGEST_FILE_BYTES:
            say(f"left out: {printable(entry['Key'])}: is larger than 5 GiB")
        else:
            found.append(entry)
    return sorted(found, key=lambda entry: (entry["LastModified"], entry["Key"]))


def _listing(s3: Any, bucket: str, prefix: str) -> list[dict[str, Any]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry for page in pages for entry in page.get("Contents", []) if not entry["Key"].endswith("/")]


def _name(entry: dict[str, Any]) -> str:
    path = Path(entry["Key"].rpartition("/")[2])
    file = RawFile(path, suffix_of(path), entry["Size"])
    identity = hashlib.sha256(f"{entry['Key']}\0{entry['ETag']}\0{entry['Size']}".encode()).hexdigest()
    return f"{file.stem()}-{identity[:HASH_LETTERS]}{file.suffix}"


def _copy(theirs: Any, bucket: str, entry: dict[str, Any], lake: Lake, key: str) -> bool:
    """Copy through this machine, since no single principal may read there and write here."""
    body = theirs.get_object(Bucket=bucket, Key=entry["Key"], IfMatch=entry["ETag"])["Body"]
    with TemporaryDirectory(prefix="dataops-pull-") as directory:
        path = Path(directory) / "object"
        with path.open("wb") as file:
            shutil.copyfileobj(body, file)
        return put_new(lake.s3, lake.raw_bucket, key, path)
