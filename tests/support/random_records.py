"""Random raw files: transactions in many spellings, and texts that are wrong in many ways."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import oracle
import pyarrow as pa
import pyarrow.parquet as pq

PURCHASE = {"id": '"a"', "type": '"purchase"', "timestamp": '"2026-09-05T10:00:00Z"', "amount": "1.50",
            "customer_id": '"c"', "merchant_id": '"m"'}  # fmt: skip
CHILD = {"id": '"a"', "type": '"void"', "timestamp": '"2026-09-05T10:00:00Z"', "amount": '"1.50"', "parent_id": '"p"'}

IDS = ["a", " a ", "\\ta\\n", "é" * 64, "x" * 65, "x" * 64, "", " ", "\\u0000", "\\ud83d\\ude00", "\\ud800", "\\udc00\\ud800",
       "\\ud83dx", "😀", "\u00a0", "a\\\\", 'a\\"b', "\\u0061", "\\/", "\udcff", "\udcf0\udc9f", "\\ud83d\udc80", "NaN", "Infinity"]  # fmt: skip
TYPES = ["purchase", "refund", "void", "Refund", " VOID ", "\\tvoid", "purchase\\n", "sale", "", " ", "vo id", "\\u0076oid",
         "re\udcfffund", "vo\u0130d", "\u017fale"]  # fmt: skip
DATES = ["2026-09-05", "2026-02-28", "2026-02-29", "2024-02-29", "2000-01-01", "1999-12-31", "2026-11-21", "2026-11-22",
         "2026-11-30", "0001-01-01", "0000-01-01", "9999-12-31", "2026-13-01", "2026-1-1", "2026-00-10", "2100-02-29"]  # fmt: skip
TIMES = [
    "10:00:00",
    "00:00:00",
    "23:59:59",
    "24:00:00",
    "23:59:60",
    "10:00",
    "10:60:00",
    "1:00:00",
    "10:00:00.",
    "10:00:00,5",
]
FRACTIONS = ["", "", ".1", ".123", ".123456", ".1234567", ".999999999", ".0000000001", ".0000009", ".9995", ".000999"]
OFFSETS = ["", "Z", "+10:00", "-10:00", "+1000", "-03", "+18:00", "-18:00", "+18:01", "+19", "+05:60", "z", " Z", "+1",
           "+10:0", "-00:00", "+24:00", "Z\\n", "[UTC]", "+17:59", "-17:59"]  # fmt: skip
AMOUNTS = ["1.5", "1.50", "10", "0.01", "0", "0.00", "-1", "-0", "1e2", "1E2", "1.005", "1.500", "9999999999999999.99",
           "12345678901234567", "0007", "01", "1.", ".5", "+1", "1 ", " 1", "NaN", "Infinity", "-Inf", "1,5", "", "ten", "1e999",
           "0.1e1", "\u0661", "1\\n", "123456789012345678901234567890"]  # fmt: skip
VALUES = ["null", "true", "false", "7", "-1.5e3", '""', '" "', '"x"', "{}", "[]", '{"id":5}', '[{"amount":1}]', "NaN", "Inf",
          "-Infinity", "nul", "'x'", "01", "\\u0031", '"\\x"', '"\t"', '"\0"', "1e400", '[[[["a"]]]]', '{"amount":1,"amount":2}',
          '"\\"amount\\":5"', '"x","amount":5', "[" * 1200 + "]" * 1200, "[" * 1200 + "NaN" + "]" * 1200,
          '{"a":' * 1200 + '"NaN"' + "}" * 1200, "[" * 1200 + "]" * 1199]  # fmt: skip
BLANK = ["", "", "", "", " ", "\t", "  ", "\r", "\u00a0"]
ODD_BYTES = [b"\0", b"\r", b"\xff", b"\xf0\x9f", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\x1f", b"\x7f",
             b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"}{", b"}}", b"{}", b"},{", b"NaN", b"1", b".", b"e", b"-", b"'"]  # fmt: skip


def moment(random: Random) -> str:
    text = random.choice(DATES) + random.choice("TTT t") + random.choice(TIMES)
    return text + random.choice(FRACTIONS) + random.choice(OFFSETS)


def usual_moment(random: Random) -> str:
    return (
        f"2026-{random.randrange(1, 13):02}-{random.randrange(1, 32):02}T{random.randrange(25):02}:30:00"
        + random.choice(["", "Z", ".5Z", "+10:00"])
    )


def value(random: Random, name: str) -> str:
    """A JSON value of a field, perhaps an invalid one."""
    if random.random() < 0.15:
        return random.choice(VALUES)
    if name == "amount":
        text = random.choice(AMOUNTS)
        return text if random.random() < 0.5 else f'"{text}"'
    if name == "type":
        return f'"{random.choice(TYPES)}"'
    if name == "timestamp":
        return f'"{random.choice([moment, usual_moment])(random)}"'
    return f'"{random.choice(IDS)}"'


def json_line(random: Random) -> bytes:
    """A line of JSON, or of damaged JSON."""
    fields = [*random.choice([PURCHASE, CHILD]).items()]
    for _ in range(random.choice([0, 0, 1, 1, 2, 4])):
        name = random.choice(oracle.FIELDS)
        what = random.random()
        if what < 0.6:
            fields = [(each, value(random, name) if each == name else old) for each, old in fields]
        elif what < 0.75:
            fields = [each for each in fields if each[0] != name]
        else:
            spelled = random.choice(
                [name, name, "note", "", name.upper(), f"\\u{ord(name[0]):04x}{name[1:]}", f"{name}\\u0000"]
            )
            fields.insert(random.randrange(len(fields) + 1), (spelled, value(random, name)))
    if random.random() < 0.3:
        random.shuffle(fields)
    blanks = BLANK if random.random() < 0.2 else [""]

    def blank() -> str:
        return random.choice(blanks)

    pairs = [f'{blank()}"{name}"{blank()}:{blank()}{text}{blank()}' for name, text in fields]
    line = f"{blank()}{{{','.join(pairs)}}}{blank()}".encode("utf-8", "surrogateescape")
    return damaged(random, line) if random.random() < 0.25 else line


def damaged(random: Random, line: bytes) -> bytes:
    """The line after one to three accidents."""
    for _ in range(random.choice([1, 1, 2, 3])):
        at = random.randrange(len(line) + 1)
        odd = random.choice(ODD_BYTES) if random.random() < 0.9 else random.randbytes(3).replace(b"\n", b"")
        line = random.choice(
            [
                line[:at] + line[at + 1 :],
                line[:at] + line[at : at + 1] * 2 + line[at + 1 :],
                line[:at] + line[at + 1 : at + 2] + line[at : at + 1] + line[at + 2 :],
                line[:at] + odd + line[at:],
                line[:at] + odd + line[at + 1 :],
                line[:at],
                line + line,
                odd + line,
                line + odd,
                b" " * 400 + line,
                line[:-1] + b" " * random.choice([50, 400]) + line[-1:],
            ]
        )
    return line


def csv_cell(random: Random, name: str) -> str:
    text = value(random, name) if random.random() < 0.2 else {**PURCHASE, **CHILD}.get(name, "").strip('"')
    if random.random() < 0.3:
        text = value(random, name).strip('"')
    if random.random() < 0.2:
        return '"' + text.replace('"', '""') + '"'
    return text


def csv_line(random: Random, names: Sequence[str]) -> bytes:
    cells = [csv_cell(random, name) for name in names]
    if random.random() < 0.5:  # a usual one
        fields = {name: text.strip('"') for name, text in random.choice([PURCHASE, CHILD]).items()}
        cells = [fields.get(name, "") for name in names]
    line = ",".join(cells).replace("\n", "").encode("utf-8", "surrogateescape")
    return damaged(random, line) if random.random() < 0.2 else line


def text_file(random: Random, lines: list[bytes]) -> bytes:
    """Lines with all kinds of line ends, some of them blank, some repeated."""
    body = bytearray(random.choice([b"", b"", b"\xef\xbb\xbf"]))
    ends = random.choice(
        [[b"\n"], [b"\r\n"], [b"\n", b"\r\n", b"\r\r\n", b"\n\n", b"\n \t\r\n", b"\n\xef\xbb\xbf", b"\n\xc2\xa0\n"]]
    )
    for line in lines:
        body += line + random.choice(ends)
    if random.random() < 0.3 and body.endswith(b"\n"):
        body.pop()
    return bytes(body)


def json_file(random: Random) -> bytes:
    return text_file(random, [json_line(random) for _ in range(random.randrange(1, 60))])


def csv_file(random: Random) -> bytes:
    names = random.sample([*oracle.FIELDS, "note"], 8)
    if random.random() < 0.3:
        names = [name for name in names if name not in ("customer_id", "note")]
    header = ",".join(names).encode()
    lines = [csv_line(random, names) for _ in range(random.randrange(1, 60))]
    if random.random() < 0.3:
        lines.insert(random.randrange(len(lines)), random.choice([header, header.upper(), b"\xef\xbb\xbf" + header]))
    return random.choice([b"", b"\xef\xbb\xbf"]) + header + random.choice([b"\n", b"\r\n"]) + text_file(random, lines)


def zipped(random: Random, body: bytes) -> bytes:
    """A gzip of one or more members."""
    at = random.randrange(len(body) + 1)
    return gzip.compress(body[:at]) + gzip.compress(body[at:]) if random.random() < 0.5 else gzip.compress(body)


# -- Parquet

MICROS = [0, 946_684_800_000_000, 946_684_799_999_999, 1_788_000_000_123_456, 1_795_305_599_999_999, 1_795_305_600_000_000,
          -1, 253_402_300_800_000_000, -62_135_596_800_000_001, 9_000_000_000_000_000_000, -9_000_000_000_000_000_000]  # fmt: skip
PER_SECOND = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
ZONES = [None, "UTC", "Australia/Sydney", "+05:30", "Nowhere/Known"]
TEXTS = [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()]
if int(pa.__version__.partition(".")[0]) >= 22:  # that of Glue 5.1; older ones cannot write these to Parquet
    TEXTS += [pa.string_view(), pa.binary_view()]


def texts(random: Random, cells: list[str | None]) -> pa.Array:
    """Texts, perhaps some that are not UTF-8, in one of the types for texts."""
    encoded = [None if cell is None else cell.encode("utf-8", "surrogateescape") for cell in cells]
    wanted = random.choice(TEXTS)
    same_layout = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    column = pa.array(encoded, same_layout.get(wanted, wanted)).view(wanted)
    has_dictionary = wanted in (pa.string(), pa.binary()) and random.random() < 0.5
    return column.dictionary_encode() if has_dictionary else column


def parquet_file(random: Random) -> tuple[bytes, list[dict[str, Any]]]:
    """A Parquet file, and its rows as the oracle reads them."""
    size = random.randrange(1, 30)
    columns: dict[str, pa.Array] = {}
    meant: dict[str, list[Any]] = {}
    for name in random.sample(oracle.FIELDS, 7):
        if name not in ("id", "type", "timestamp", "amount") and random.random() < 0.2:
            continue
        if name == "timestamp" and random.random() < 0.7:
            unit, zone = random.choice([*PER_SECOND]), random.choice(ZONES)
            moments = [instant(random, PER_SECOND[unit]) for _ in range(size)]
            columns[name] = pa.array(moments, pa.int64()).cast(pa.timestamp(unit, zone))
            meant[name] = [None if each is None else utc_text(each, PER_SECOND[unit]) for each in moments]
        elif name == "amount" and random.random() < 0.7:
            columns[name], meant[name] = amounts(random, size)
        else:
            cells = [None if random.random() < 0.05 else cell(random, name) for _ in range(size)]
            columns[name], meant[name] = texts(random, cells), cells
    columns = {random.choice([name, name, name.upper()]): column for name, column in columns.items()}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, row_group_size=random.choice([3, 100]))
    rows = [{name: cells[row] for name, cells in meant.items()} for row in range(size)]
    return sink.getvalue(), rows


def cell(random: Random, name: str) -> str:
    usual = {**PURCHASE, **CHILD}[name].strip('"')
    if name == "type":
        usual = random.choice(["purchase", "refund", "void"])
    if random.random() < 0.7:
        return usual
    return value(random, name).strip('"').replace("\\n", "\n").replace("\\t", "\t")


def instant(random: Random, per_second: int) -> int | None:
    if random.random() < 0.1:
        return None
    if random.random() < 0.5:
        return random.randrange(1_600_000_000, 1_800_000_000) * per_second + random.randrange(per_second)
    micros = random.choice(MICROS)
    return max(-(2**63), min(2**63 - 1, random.choice([micros, micros * per_second // 1_000_000])))


def utc_text(value: int, per_second: int) -> str:
    try:
        whole, rest = divmod(value, per_second)
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=whole)
    except OverflowError:
        return "beyond the calendar"
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}.{rest * 1_000_000_000 // per_second:09}Z"


def amounts(random: Random, size: int) -> tuple[pa.Array, list[Any]]:
    scale = random.choice([None, 0, 1, 2, 3, 7, 20])
    if scale is None:
        bits = random.choice([pa.int32(), pa.int64()])
        whole = [random.choice([None, 0, -5, 7, 1_000, 2**31 - 1, -(2**31)]) for _ in range(size)]
        return pa.array(whole, bits), [None if each is None else str(each) for each in whole]
    units = [random.choice([None, 0, 1, -1, 10**scale, 15 * 10**scale // 10, 10 ** (scale + 15), 10 ** (scale + 16),
                            random.randrange(10**6) * 10 ** max(0, scale - 2)]) for _ in range(size)]  # fmt: skip
    values = [None if each is None else Decimal(each).scaleb(-scale) for each in units]
    return pa.array(values, pa.decimal128(38, scale)), [None if each is None else money_text(each) for each in values]


def money_text(value: Decimal) -> str:
    """A decimal without trailing zeros."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
