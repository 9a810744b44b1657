"""What every route into the raw bucket promises: files in, one delivery each out.

Which files may go is decided in ingest.py before a route sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from deployer.lake.delivery.files import RawFile
from deployer.lake.deployed_lake import Lake

if TYPE_CHECKING:
    from deployer.aws.session import Session

Item = TypeVar("Item")


@dataclass(frozen=True)
class Reason:
    """Why a line was refused."""

    field: str | None  #: the field; null when the reason concerns the whole line
    reason: str  #: as docs/ingestion/api.md lists them


@dataclass(frozen=True)
class RefusedLine:
    """A line of a file that was not taken, with every reason."""

    line: int  #: its number in the file, from 1
    reasons: tuple[Reason, ...]  #: every reason


@dataclass(frozen=True)
class Delivery:
    """What became of one file."""

    file: Path  #: its path here; with `--from` its key there
    target: str  #: the object's key, or the stream's name
    delivered: bool  #: false: the same content had been delivered before
    bytes: int  #: its size
    records: int | None = None  #: records put onto the stream, or accepted by the API; null for other routes
    refused: tuple[RefusedLine, ...] = ()  #: lines that the API did not accept; empty for other routes


# A route takes the session as well as the lake: its sender may be another account with its own permissions.
Deliver = Callable[["Session", Lake, Sequence[RawFile], Callable[[str], None]], list[Delivery]]


def put_new(s3: Any, bucket: str, key: str, path: Path) -> bool:
    """Put a file under a key that is not there yet; whether it was new."""
    try:
        with path.open("rb") as body:
            s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in {"PreconditionFailed", "412"}:
            return False
        raise
    return True


def grouped(
    items: Iterable[Item], size_of: Callable[[Item], int], *, most: int, most_bytes: int
) -> Iterator[list[Item]]:
    """Group what is sent into requests of at most so many items and bytes, in order; an item that is larger goes alone."""
    group: list[Item] = []
    size_bytes = 0
    for item in items:
        item_bytes = size_of(item)
        if group and (len(group) == most or size_bytes + item_bytes > most_bytes):
            yield group
            group, size_bytes = [], 0
        group.append(item)
        size_bytes += item_bytes
    if group:
        yield group


def size_text(size_bytes: int) -> str:
    """Write a size for people."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1000:.0f} kB"
    return f"{size_bytes / 1_000_000:.1f} MB"
