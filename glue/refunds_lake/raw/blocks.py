"""Text objects as blocks of whole lines: unzipped on the way, never more than a few MiB of them at once.

A line ends with LF or CRLF. What cannot be read to its end is Unreadable, so that no half of a file passes for the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Final, NamedTuple

BLOCK_BYTES: Final = 8 << 20
LONGEST_LINE_BYTES: Final = 32 << 20
"""A file with a longer line is not read: Athena reads no row of more than 32 MB, and the line ends were probably lost."""
_MIB: Final = 1 << 20

_ZLIB: Final = import_module("isal.isal_zlib" if find_spec("isal") else "zlib")
"""isal does what zlib does in a third of the time, but Glue's image does not have it."""


class Unreadable(Exception):
    """The object cannot be read; the message says why."""


class Block(NamedTuple):
    """Lines that follow each other."""

    first_line: int
    """The number of its first line, from 1."""
    text: bytes
    """The lines; all but a file's last one have their LF."""


def blocks(chunks: Iterable[bytes], *, is_gzip: bool) -> Iterator[Block]:
    """Cut the bytes of a text object into blocks of whole lines; raise Unreadable."""
    pieces = unzipped(chunks) if is_gzip else chunks
    first_line, waiting, size, open_line = 1, list[bytes](), 0, 0
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        open_line = _open_line(piece, end, open_line)
        if not end or size + len(piece) < BLOCK_BYTES:
            waiting.append(piece)
            size += len(piece)
            continue
        # The last line of what came before may have ended long ago, so a block ends where this piece's last line does.
        text = b"".join([*waiting, piece[:end]])
        yield Block(first_line, text)
        first_line += text.count(b"\n")
        waiting, size = [piece[end:]], len(piece) - end
    if text := b"".join(waiting):
        yield Block(first_line, text)


def _open_line(piece: bytes, end: int, before: int) -> int:
    """Return the length of the line that a piece leaves open; raise Unreadable for one that is too long."""
    ended = before + (piece.find(b"\n") if end else len(piece))
    if ended > LONGEST_LINE_BYTES:
        raise Unreadable(f"it has a line of more than {LONGEST_LINE_BYTES // _MIB} MiB")
    return len(piece) - end if end else ended


def unzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a gzip of one or more members, at most a MiB at a time; raise Unreadable when it is broken."""
    decompressor = _ZLIB.decompressobj(31)
    try:
        for chunk in chunks:
            while chunk:
                if decompressor.eof:
                    decompressor = _ZLIB.decompressobj(31)
                yield decompressor.decompress(chunk, _MIB)
                chunk = decompressor.unconsumed_tail or decompressor.unused_data
    except _ZLIB.error as error:
        raise Unreadable("the gzip file is corrupt") from error
    if not decompressor.eof:
        raise Unreadable("the gzip file is truncated")
