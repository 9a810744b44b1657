"""All records of one raw object, whatever its format, and whose fault it is when it cannot be read.

An error while an object is parsed or validated concerns only this object. What goes wrong while its bytes are
fetched is a failure of the machine, which must end the run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from refunds_lake.raw.blocks import Unreadable, blocks
from refunds_lake.raw.csv_lines import from_csv
from refunds_lake.raw.json_lines import from_json
from refunds_lake.raw.parquet_rows import from_parquet, open_parquet
from refunds_lake.raw.raw_files import RawFile
from refunds_lake.raw.records import Records
from refunds_lake.schema.contract import CSV, PARQUET
from refunds_lake.storage.objects import ObjectMissing, ObjectReplaced, ObjectStore

_WORDS_LETTERS: Final = 500


class MachineFailed(Exception):
    """The bytes of an object could not be fetched; holds the error."""


def read(store: ObjectStore, file: RawFile) -> Iterator[Records]:
    """Yield the records of a file; raise Unreadable, possibly after many of them, or MachineFailed."""
    if file.format == PARQUET:
        return _parquet_records(store, file)
    text = blocks(_chunks(store, file), is_gzip=file.key.endswith(".gz"))
    return from_csv(text) if file.format == CSV else from_json(text)


def _parquet_records(store: ObjectStore, file: RawFile) -> Iterator[Records]:
    with _fetching():
        spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed below, where errors are no longer the machine's
        for chunk in store.chunks(file.key, etag=file.stored.etag, version_id=file.stored.version_id):
            spool.write(chunk)
    with spool:
        with blamed("its footer cannot be read"):
            rows = open_parquet(spool, file.stored.size)
        with blamed("the Parquet file is corrupt"):
            yield from from_parquet(rows)


def _chunks(store: ObjectStore, file: RawFile) -> Iterator[bytes]:
    with _fetching():
        yield from store.chunks(file.key, etag=file.stored.etag, version_id=file.stored.version_id)


@contextmanager
def _fetching() -> Iterator[None]:
    try:
        yield
    except ObjectMissing as error:
        raise Unreadable("it disappeared between the listing and the reading") from error
    except ObjectReplaced as error:
        raise Unreadable("it was replaced between the listing and the reading") from error
    except Exception as error:
        raise MachineFailed(error) from error


@contextmanager
def blamed(what: str = "it cannot be read") -> Iterator[None]:
    """Turn any error inside into Unreadable with its own text, unless the machine failed."""
    try:
        yield
    except (Unreadable, MachineFailed):
        raise
    except Exception as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())[:_WORDS_LETTERS]
        raise Unreadable(f"{what}: {words}") from error
