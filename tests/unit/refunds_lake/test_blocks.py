"""Text objects as blocks of lines: nothing is lost or doubled at a seam, and what cannot be read to its end is named."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from random import Random

import pytest
from refunds_lake.raw import blocks as lines
from refunds_lake.raw.blocks import Unreadable, blocks


@pytest.fixture(params=["isal", "zlib"], autouse=True)
def decompressor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds with either library."""
    library = zlib if request.param == "zlib" else pytest.importorskip("isal.isal_zlib")
    monkeypatch.setattr(lines, "_ZLIB", library)


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def text_of(chunks: Iterable[bytes], *, is_gzip: bool = True) -> bytes:
    return b"".join(block.text for block in blocks(chunks, is_gzip=is_gzip))


@pytest.mark.parametrize("is_gzip", [False, True])
def test_blocks_are_the_whole_text_in_whole_lines(monkeypatch: pytest.MonkeyPatch, is_gzip: bool) -> None:
    """Given random texts in random pieces, then the blocks join to the text, end with lines, and know their first line."""
    random = Random(7)
    for _ in range(300):
        monkeypatch.setattr(lines, "BLOCK_BYTES", random.choice([1, 5, 40, 1000]))
        monkeypatch.setattr(lines, "_MIB", random.choice([1, 7, 100]))
        body = b"".join(random.choice([b"\n", b"a", b"bc", b"\r\n", b"x" * 30]) for _ in range(random.randrange(1, 60)))
        sent = gzip.compress(body[:9]) + gzip.compress(body[9:]) if is_gzip else body
        found = list(blocks(pieces(sent, random.choice([1, 3, 50, 1000])), is_gzip=is_gzip))
        assert b"".join(block.text for block in found) == body
        assert all(block.text.endswith(b"\n") for block in found[:-1])
        before = 0
        for block in found:
            assert block.first_line == 1 + before
            before += block.text.count(b"\n")


@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize("place", ["first", "middle", "last", "last and open"])
def test_a_line_is_too_long_wherever_it_is(monkeypatch: pytest.MonkeyPatch, is_gzip: bool, place: str) -> None:
    """Given a line of the greatest length, it is read; given one byte more, the file is not, however it is cut."""
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 1000)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 300)
    monkeypatch.setattr(lines, "_MIB", 70)
    before, behind = {"first": (0, 9), "middle": (9, 9), "last": (9, 0), "last and open": (9, 0)}[place]
    for length in (1000, 1001):
        long = b"x" * length + b"\n" * (place != "last and open")
        body = b"short\n" * before + long + b"short\n" * behind
        sent = gzip.compress(body) if is_gzip else body
        for size in (1, 64, 70):
            if length == 1000:
                assert text_of(pieces(sent, size), is_gzip=is_gzip) == body
            else:
                with pytest.raises(Unreadable, match="it has a line of more than"):
                    text_of(pieces(sent, size), is_gzip=is_gzip)


def test_every_cut_of_a_gzip_is_noticed() -> None:
    """Given a gzip that breaks off anywhere, then it never passes for a shorter file."""
    whole = gzip.compress(b"".join(b"line %d\n" % number for number in range(50)))
    for end in range(1, len(whole)):
        with pytest.raises(Unreadable, match="is truncated"):
            text_of(pieces(whole[:end], 16))
    assert text_of(pieces(whole, 16)).count(b"\n") == 50


def test_every_changed_byte_of_a_gzip_is_noticed_or_harmless() -> None:
    """Given one wrong byte, then the file is refused, or its text is what it was: the flags and the date say nothing."""
    text = b"".join(b"line %d\n" % number for number in range(50))
    whole = bytearray(gzip.compress(text, mtime=0))
    refused = 0
    for place in range(len(whole)):
        broken = whole.copy()
        broken[place] ^= 0x55
        try:
            assert text_of(pieces(bytes(broken), 16)) == text
        except Unreadable:
            refused += 1
    assert refused >= len(whole) - 7


def test_a_gzip_of_many_members_and_a_great_expansion_is_read_in_small_pieces() -> None:
    """Given members in any number, and one that grows a thousandfold, then no piece is greater than a MiB."""
    parts = [b"a\n", b"", b"\n" * 5_000_000, b"b\n"]
    sent = b"".join(map(gzip.compress, parts))
    found = list(lines.unzipped([sent]))
    assert b"".join(found) == b"".join(parts)
    assert max(map(len, found)) <= 1 << 20
