"""Damaged files of every format, read between two sound ones: a program of its own, so that its resources can be limited.

    python tests/support/fuzzed_files.py SEED COUNT

Reads COUNT files that follow from SEED and prints a line for each before it is read; the last line counts the outcomes.
It ends at the first file that harms the others, takes more than 512 MiB, or 10 seconds of processor time.
"""

from __future__ import annotations

import gzip
import io
import resource
import signal
import struct
import sys
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from random_records import csv_file, json_file, parquet_file, zipped
from reading import MemoryStore
from refunds_lake.raw.raw_files import inspect
from refunds_lake.raw.rules import RULES
from refunds_lake.raw.staging import Portion, Stage
from refunds_lake.schema.months import Months

SECONDS: Final = 10
KIB: Final = 512 << 10
OBJECT_BYTES: Final = 1 << 20
SOUND: Final = b'{"id":"a","type":"void","timestamp":"2026-09-05T10:00:00Z","amount":"1","parent_id":"p"}\n'
FOOTER_END: Final = 8
"""Bytes after a footer: its length, and the magic bytes."""


def damaged_file(seed: int) -> tuple[str, bytes]:
    """The name and the body of a file of at most OBJECT_BYTES."""
    random = Random(seed)
    suffix, body = random.choice(KINDS)(random)
    for _ in range(random.choice([0, 1, 1, 2, 5])):
        body = random.choice(ACCIDENTS)(random, body)
    return f"damaged{suffix}", body[:OBJECT_BYTES]


# -- files


def _text(random: Random) -> tuple[str, bytes]:
    suffix, made = random.choice([(".json", json_file), (".csv", csv_file)])
    body = made(random)
    return (suffix, body) if random.random() < 0.5 else (f"{suffix}.gz", zipped(random, body))


def _parquet(random: Random) -> tuple[str, bytes]:
    return ".parquet", parquet_file(random)[0]


def _long_parquet(random: Random) -> tuple[str, bytes]:
    """A few bytes that are many rows: one value, repeated."""
    rows = random.choice([1_000, 100_000, 2_000_000])
    columns = {name: pa.array(["x"] * rows) for name in ("id", "type", "timestamp", "amount")}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression=random.choice(["none", "zstd"]))
    return ".parquet", sink.getvalue()


def _bomb(random: Random) -> tuple[str, bytes]:
    """A gzip of much repeated text."""
    line = random.choice([b"\n", b" " * 99 + b"\n", b"{}\n" * 9, b'{"id":"' + b"x" * 4000, SOUND])
    return random.choice([".json.gz", ".csv.gz"]), gzip.compress(line * (random.choice([1, 4]) * 500_000 // len(line)))


KINDS: Final[list[Callable[[Random], tuple[str, bytes]]]] = [*[_text] * 8, *[_parquet] * 12, _long_parquet, _bomb]


# -- accidents


def _flip(random: Random, body: bytes) -> bytes:
    broken = bytearray(body)
    for _ in range(random.choice([1, 1, 8]) if body else 0):
        broken[random.randrange(len(broken))] ^= 1 << random.randrange(8)
    return bytes(broken)


def _flip_footer(random: Random, body: bytes) -> bytes:
    """Flip bits of the footer, if there is one."""
    at = len(body) - FOOTER_END - _footer_bytes(body)
    return body[:at] + _flip(random, body[at:]) if at >= 0 else _flip(random, body)


def _cut(random: Random, body: bytes) -> bytes:
    at = random.randrange(len(body) + 1)
    return random.choice([body[:at], body[at:]])


def _splice(random: Random, body: bytes) -> bytes:
    at, length = random.randrange(len(body) + 1), random.choice([0, 1, 100, 5000])
    return body[:at] + random.randbytes(random.choice([0, 1, 4, 64])) + body[at + length :]


def _other_footer(random: Random, body: bytes) -> bytes:
    """A random footer, or that of another file, or one that announces a long list."""
    lists = bytes([random.choice([0x15, 0x19, 0x1C, 0x29, 0x48]), random.randrange(0xF0, 0x100)])
    footer = random.choice(
        [
            random.randbytes(random.randrange(200)),
            lists + random.choice([b"\xff\xff\xff\xff\x07", b"\xff\xff\x03", b"\x90\x4e"]),
            _footer_of(parquet_file(random)[0]),
            body[: random.randrange(400)],
        ]
    )
    length = random.choice([len(footer), len(footer), random.randrange(1 << 32)])
    return body[:-FOOTER_END] + footer + struct.pack("<I", length) + b"PAR1"


def _footer_bytes(body: bytes) -> int:
    return int.from_bytes(body[-FOOTER_END:-4], "little") if body.endswith(b"PAR1") else len(body)


def _footer_of(body: bytes) -> bytes:
    return body[-FOOTER_END - _footer_bytes(body) : -FOOTER_END]


ACCIDENTS: Final = [_flip, _flip_footer, _flip_footer, _cut, _splice, _other_footer]


# -- reading


class Sink(MemoryStore):
    """A bucket that forgets what is put: the limit is for the reader, not for what it has read."""

    def put(self, key: str, body: bytes, **_: Any) -> str:
        return ""


def outcome(name: str, body: bytes) -> str:
    """What became of a damaged file; raises AssertionError if it harmed the sound ones."""
    store: Any = MemoryStore(1 << 20)
    store.objects |= {"0.json": SOUND * 3, f"1-{name}": body, "2.json": SOUND * 2}
    files, problems = inspect(store.listing(""))
    base: Any = Sink(1 << 20)
    stage = Stage(store, base, "", "a run", Months.of("UTC"), RULES)
    result = stage(Portion(0, tuple(enumerate(files))))
    told = {each.key: each.reason for each in problems} | {files[n].key: why for n, why in result.problems.items()}
    assert not told or (list(told) == [f"1-{name}"] and told[f"1-{name}"] and "\n" not in told[f"1-{name}"]), told
    counts: Counter[str] = Counter()
    for (number, kind, _), rows in result.counts.items():
        if not files[number].key.startswith("1-"):
            counts[f"{files[number].key} {kind}"] += rows
    assert counts == {"0.json void": 3, "2.json void": 2}, result
    return "not read" if told else "read"


def main() -> None:
    """Read the files; SIGPROF, which nothing catches, ends a file that takes too long."""
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    outcome("warm.parquet", b"")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + KIB
    found: Counter[str] = Counter()
    for number in range(count):
        name, body = damaged_file(seed + number)
        print(f"seed {seed + number}: {name}, {len(body)} bytes", flush=True)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        found[outcome(name, body)] += 1
        signal.setitimer(signal.ITIMER_PROF, 0)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > most:
            sys.exit(f"it took more than {KIB >> 10} MiB")
    print(dict(found))


if __name__ == "__main__":
    main()
