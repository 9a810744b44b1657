"""One raw object in its bucket, and who is to blame when it cannot be read: the object, or the machine.

What goes wrong while an object is parsed or judged concerns this object and no other. What goes wrong while its bytes are
fetched is a failure of the machine, which must end the run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

from refunds_lake.raw.blocks import Unreadable
from refunds_lake.storage.objects import ObjectMissing, ObjectReplaced, ObjectStore, RangeReader, StoredObject

_WORDS_LETTERS: Final = 500


class RawSource:
    """The bytes of one object, in the ways in which readers want them."""

    def __init__(self, store: ObjectStore, stored: StoredObject) -> None:
        self._store, self._stored = store, stored
        self._has_bucket_failed = False

    def head(self, size: int) -> bytes:
        """The first bytes."""
        with self._fetching():
            return self._store.read_range(self._stored.key, 0, size - 1)

    def chunks(self) -> Iterator[bytes]:
        """The body piece by piece."""
        with self._fetching():
            yield from self._store.chunks(self._stored.key, etag=self._stored.etag)

    @contextmanager
    def spooled(self) -> Iterator[IO[bytes]]:
        """The body in a temporary file."""
        with self._fetching():
            spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed below, where errors are no longer the machine's
            for chunk in self._store.chunks(self._stored.key, etag=self._stored.etag):
                spool.write(chunk)
        with spool:
            yield spool

    def ranges(self) -> RangeReader:
        """The body as a file that fetches what is read of it."""
        return _Ranges(self, self._store, self._stored)

    @contextmanager
    def _fetching(self) -> Iterator[None]:
        try:
            yield
        except (ObjectMissing, ObjectReplaced):
            raise
        except Exception:
            self._has_bucket_failed = True
            raise

    @contextmanager
    def blamed(self, what: str = "it cannot be read") -> Iterator[None]:
        """Make whatever goes wrong inside an Unreadable with its own words, unless it is the machine that failed."""
        try:
            yield
        except Unreadable:
            raise
        except ObjectMissing as error:
            raise Unreadable("it disappeared between the listing and the reading") from error
        except ObjectReplaced as error:
            raise Unreadable("it was replaced between the listing and the reading") from error
        except Exception as error:
            if self._has_bucket_failed:
                raise
            raise Unreadable(f"{what}: {_words(error)}") from error


class _Ranges(RangeReader):
    def __init__(self, source: RawSource, store: ObjectStore, stored: StoredObject) -> None:
        super().__init__(store, stored.key, stored.size)
        self._source = source

    def readinto(self, buffer: Any) -> int:
        with self._source._fetching():
            return super().readinto(buffer)


def _words(error: Exception) -> str:
    """Kind and message of an error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:_WORDS_LETTERS]
