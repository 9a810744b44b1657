"""The record contract, rule by rule: which lines are transactions, and every reason why another is not."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import Row, expected, judged, outcomes, staged
from refunds_lake.raw import blocks as lines
from refunds_lake.raw import records, rules

P = '"type":"purchase","timestamp":"2026-09-05T10:00:00Z","customer_id":"c","merchant_id":"m"'
R = '"type":"refund","timestamp":"2026-09-05T10:00:00Z"'


def amount(literal: str) -> str:
    return f'{{"id":"a",{P},"amount":{literal}}}'


def moment(text: str) -> str:
    return f'{{"id":"a","type":"void","parent_id":"p","amount":"1","timestamp":"{text}"}}'


JSON_CASES: list[tuple[str, Any]] = [
    # -- what is taken
    (f'{{"id":"a",{P},"amount":"10.10"}}', {"id": "a", "amount": Decimal("10.10")}),
    (f'  {{ "id" : "a" , {P}, "amount" : 10.10 }}  ', {"amount": Decimal("10.10")}),
    (amount("10.10"), {"amount": Decimal("10.10")}),
    (amount("12345678901234.56"), {"amount": Decimal("12345678901234.56")}),
    (amount('"9999999999999999.99"'), {"amount": Decimal("9999999999999999.99")}),
    (amount("9999999999999999.99"), {"amount": Decimal("9999999999999999.99")}),
    (amount("0.01"), {"amount": Decimal("0.01")}),
    (amount("7"), {"amount": Decimal("7.00")}),
    (amount('"0007.5"'), {"amount": Decimal("7.50")}),
    (f'{{"amount":3.005,"id":"a",{P},"amount":10.10}}', {"amount": Decimal("10.10")}),
    (f'{{"x":{{"amount":"3"}},"id":"a",{P},"amount":10.10}}', {"amount": Decimal("10.10")}),
    (f'{{"x":"\\"amount\\":5","id":"a",{P},"amount":10.10}}', {"amount": Decimal("10.10")}),
    (f'{{"id":"  a\\t",{P},"amount":"1"}}', {"id": "a"}),
    (f'{{"id":"{"x" * 64}",{P},"amount":"1"}}', {"id": "x" * 64}),
    (f'{{"id":"{"é" * 64}",{P},"amount":"1"}}', {"id": "é" * 64}),
    (f'{{"id":"a",{P},"amount":"1","parent_id":"","other":[1,{{"id":5}}],"n":null}}', {"parent_id": None}),
    (f'{{"id":"a",{P},"amount":"1","parent_id":null}}', {"parent_id": None}),
    (f'{{"id":"a",{P},"amount":"1","parent_id":"  "}}', {"parent_id": None}),
    (f'{{"id":"a",{R},"parent_id":" p ","amount":"1","customer_id":5,"merchant_id":[]}}', {"kind": "refund", "parent_id": "p"}),
    ('{"id":"a","type":" VoID ","timestamp":"2026-09-05 10:00:00","parent_id":"p","amount":"1"}', {"kind": "void"}),
    (moment("2026-09-05T10:00:00"), {"timestamp": datetime(2026, 9, 5, 10, tzinfo=UTC)}),
    (moment("2026-09-05 10:00:00.1234567+10:00"), {"timestamp": datetime(2026, 9, 5, 0, 0, 0, 123_000, tzinfo=UTC)}),
    (moment("2026-09-01T05:00:00+1000"), {"timestamp": datetime(2026, 8, 31, 19, tzinfo=UTC), "month": "2026-08"}),
    (moment("2026-09-05T10:00:00-03"), {"timestamp": datetime(2026, 9, 5, 13, tzinfo=UTC)}),
    (moment("2026-09-05T10:00:00.05+18:00"), {"timestamp": datetime(2026, 9, 4, 16, 0, 0, 50_000, tzinfo=UTC)}),
    (moment("2026-09-05T10:00:00-1800"), {"timestamp": datetime(2026, 9, 6, 4, tzinfo=UTC)}),
    (moment("2024-02-29T00:00:00Z"), {"month": "2024-02"}),
    (moment("2000-01-01T00:00:00Z"), {"month": "2000-01"}),
    (moment("2026-11-21T23:59:59.999999Z"), {"month": "2026-11"}),
    (moment("2025-12-31T23:59:59.9995Z"), {"month": "2025-12", "timestamp": datetime(2025, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)}),
    (moment("2025-12-31T23:59:59.999999999Z"), {"timestamp": datetime(2025, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)}),
    ('\ufeff{"id":"\ufffd","type":"void","timestamp":"2026-09-05 10:00:00","parent_id":"p","amount":"1"}', {"id": "\ufffd"}),
    # -- what is not
    ("nope", ["not_json"]),
    ("[]", ["not_json"]),
    ("null", ["not_json"]),
    ('"text"', ["not_json"]),
    (f'[{{"id":"a",{P},"amount":"1"}}]', ["not_json"]),
    (f'{{"id":"a",{P},"amount":"1"', ["not_json"]),
    (f'{{"id":"a",{P},"amount":"1"}} x', ["not_json"]),
    (f'{{"id":"a",{P},"amount":"1"}}{{"id":"b"}}', ["not_json"]),
    (f'{{"id":"a",{P},"amount":"1"}},{{"id":"b"}}', ["not_json"]),
    (f'{{"id":"a",{P},"amount":"1"}}}}', ["not_json"]),
    (f'{{"id":"a",{P},"amount":"1"}},"_":{{"id":"b"}}', ["not_json"]),
    (f'{{"id":"a",{P},"amount":"1"}}],[{{}}', ["not_json"]),
    ("{'id':'a'}", ["not_json"]),
    (f'{{"id":"a",{P},"amount":NaN}}', ["not_json"]),
    (f'{{"id":"a",{P},"amount":01}}', ["not_json"]),
    (f'{{"id":"a",{P},"amount":.5}}', ["not_json"]),
    ("{}", ["id_missing", "type_missing", "timestamp_missing", "amount_missing"]),
    (f'{{"id":"",{P},"amount":"1"}}', ["id_missing"]),
    (f'{{"id":" \\t",{P},"amount":"1"}}', ["id_missing"]),
    (f'{{"id":null,{P},"amount":"1"}}', ["id_missing"]),
    (f'{{"id":"{"x" * 65}",{P},"amount":"1"}}', ["id_too_long"]),
    *[(f'{{"id":{value},{P},"amount":"1"}}', ["id_not_text"]) for value in ("true", "5", "1.50", "[1]", "{}", '{"a":"b"}', "-1e3")],
    (f'{{"id":"NaN",{P},"amount":"1","x":[]}}', {"id": "NaN"}),
    (f'{{"id":"5","x":{{"id":5}},{P},"amount":"1"}}', {"id": "5"}),
    (f'{{"x":{{"id":"5"}},"id":5,{P},"amount":"1"}}', ["id_not_text"]),
    (f'{{"id":"a",{R},"parent_id":"p","amount":"1","type":"sale"}}', ["type_unknown"]),
    (f'{{"id":"a",{R},"parent_id":"p","amount":"1","type":true}}', ["type_unknown"]),
    (f'{{"id":"a",{R},"parent_id":"p","amount":"1","type":" "}}', ["type_missing"]),
    *[
        (moment(text), ["timestamp_invalid"])
        for text in (
            "2026-02-30T10:00:00Z", "2025-02-29T00:00:00Z", "2026-13-01T10:00:00Z", "2026-09-05", "2026-09-05T10:00Z",
            "2026-09-05T24:00:00Z", "2026-09-05T23:59:60Z", "2026-9-5T10:00:00Z", "1757066400", "05/09/2026 10:00:00",
            "2026-09-05T10:00:00.Z", "2026-09-05T10:00:00,5Z", "2026-09-05T10:00:00+25:00", "2026-09-05T10:00:00 Z",
            "2026-09-05T10:00:00+18:01", "2026-09-05T10:00:00+05:60", "2026-09-05T10:00:00Z\\n", " 2026-09-05T10:00:00Z",
        )
    ],
    (moment(""), ["timestamp_missing"]),
    (moment("1999-12-31T23:59:59Z"), ["timestamp_too_early"]),
    (moment("2000-01-01T05:00:00+10:00"), ["timestamp_too_early"]),
    (moment("2026-11-22T00:00:00Z"), ["timestamp_too_late"]),
    (moment("0001-01-01T00:00:00+03:00"), ["timestamp_too_early"]),
    (moment("9999-12-31T23:59:59-03:00"), ["timestamp_too_late"]),
    (moment("0000-12-31T23:59:59Z"), ["timestamp_invalid"]),
    *[
        (amount(literal), ["amount_invalid"])
        for literal in (
            '"1,50"', '"1e2"', "1e2", "1E2", '"-5"', "-5", '"+5"', '".5"', '"5."', '"1.005"', "1.005", "10.100", "true",
            '"12345678901234567"', "12345678901234567", "100000000000000000.01", '"1 "', '"ten"', "[1]", '{"a":1}',
            '"5\\n"', "10.1000000000000000001", '"NaN"', '"\u0661"',
        )
    ],
    *[(amount(literal), ["amount_not_positive"]) for literal in ('"0"', "0", "0.00", '"0000.0"')],
    *[(amount(literal), ["amount_missing"]) for literal in ("null", '""')],
    (f'{{"id":"a",{P},"x":{{"amount":5}}}}', ["amount_missing"]),
    (f'{{"id":"a",{P},"\\u0061mount":7.10}}', {"amount": Decimal("7.10")}),
    ('{"id":"a","type":"purchase","timestamp":"2026-09-05T10:00:00Z","amount":"1"}', ["customer_id_missing", "merchant_id_missing"]),
    (f'{{"id":"a",{P},"amount":"1","customer_id":" "}}', ["customer_id_missing"]),
    (f'{{"id":"a",{P},"amount":"1","merchant_id":""}}', ["merchant_id_missing"]),
    (f'{{"id":"a",{P},"amount":"1","customer_id":7}}', ["customer_id_not_text"]),
    (f'{{"id":"a",{P},"amount":"1","merchant_id":{{}}}}', ["merchant_id_not_text"]),
    (f'{{"id":"a",{P},"amount":"1","parent_id":"p"}}', ["parent_id_present"]),
    (f'{{"id":"a",{P},"amount":"1","parent_id":0}}', ["parent_id_present"]),
    (f'{{"id":"a",{R},"amount":"1"}}', ["parent_id_missing"]),
    (f'{{"id":"a",{R},"amount":"1","parent_id":"\\n"}}', ["parent_id_missing"]),
    (f'{{"id":"a",{R},"amount":"1","parent_id":9}}', ["parent_id_not_text"]),
    (f'{{"id":"a",{R},"amount":"1","parent_id":"{"x" * 65}"}}', ["parent_id_too_long"]),
    ('{"id":7,"type":"x","timestamp":"y","amount":"z"}', ["id_not_text", "type_unknown", "timestamp_invalid", "amount_invalid"]),
]  # fmt: skip


INVALID_UTF8 = b'{"id":"a\xff",' + P.encode() + b',"amount":"1"}'
IGNORED_INVALID_UTF8 = b'{"id":"a","note":"\xff",' + R.encode() + b',"parent_id":"p","customer_id":"\xff","amount":"1"}'
LINES: list[tuple[bytes, Any]] = [
    *[(line.encode(), expected) for line, expected in JSON_CASES],
    (INVALID_UTF8, ["invalid_utf8"]),
    (f'{{"id":"a\\ud800",{P},"amount":"1"}}'.encode(), ["invalid_utf8"]),
    (b'{"id":"a","parent_id":"\xff",' + R.encode() + b',"amount":"1"}', ["invalid_utf8"]),
    (b'{"id":"a","parent_id":"\xff",' + P.encode() + b',"amount":"1"}', ["invalid_utf8", "parent_id_present"]),
    (P.replace('"c"', '"\udcff"').join(['{"id":"a",', ',"amount":"1"}']).encode(errors="surrogateescape"), ["invalid_utf8"]),
    (IGNORED_INVALID_UTF8, {"kind": "refund", "id": "a"}),
    (f'{{"id":"a","x":{"[" * 3000}"NaN"{"]" * 3000},{P},"amount":1}}'.encode(), {"id": "a", "amount": Decimal(1)}),
    (f'{{"id":"a","x":{"[" * 3000}NaN{"]" * 3000},{P},"amount":1}}'.encode(), ["not_json"]),
    (f'{{"id":"a","x":{"[" * 3000}"\\ud800",1e999,{"9" * 400}{"]" * 3000},{P},"amount":1}}'.encode(), {"id": "a"}),
    (f'{{"id":7,"x":{"[" * 3000}{"]" * 3000},{P},"amount":1}}'.encode(), ["id_not_text"]),
    (f'{{"id":"a","x":{"[" * 3000}{"]" * 2999},{P},"amount":1}}'.encode(), ["not_json"]),
    (f'{{"id":"a","id":"b","x":{"[" * 3000}{{"id":1}}{"]" * 3000},{P},"amount":1}}'.encode(), {"id": "b"}),
]  # fmt: skip


def agrees(row: Row, expected: Any) -> bool:
    if isinstance(expected, list):
        return sorted(row["reasons"] or []) == sorted(expected)
    return row["reasons"] is None and all(row[name] == value for name, value in expected.items())


def check(rows: Sequence[Row], cases: Sequence[tuple[bytes, Any]]) -> None:
    """Each row ends as its case says, and keeps its raw text when it is rejected."""
    assert len(rows) == len(cases)
    wrong = [(line, end, row) for row, (line, end) in zip(rows, cases, strict=True) if not agrees(row, end)]
    assert wrong == []
    for row, (line, end) in zip(rows, cases, strict=True):
        raw_text = line.decode("utf-8", "replace").removeprefix("\ufeff")
        assert row["raw_text"] == (raw_text if isinstance(end, list) else None)


def test_each_json_line_is_taken_or_rejected_with_all_its_reasons() -> None:
    """Every case of the table ends as it says, and keeps its raw text when it is rejected."""
    check(judged("cases.json", b"\n".join(line for line, _ in LINES)), LINES)


USUAL = f'{{"id":"a",{P},"amount":"1"}}'.encode(), {"id": "a", "kind": "purchase"}


FORMS = [(end, suffix) for end in ("\n", "\r\n") for suffix in ("", ".gz")]
"""How a file of lines can come: its line ends and whether it is zipped."""


@pytest.mark.parametrize(("end", "zipped"), FORMS)
def test_json_lines_are_judged_the_same_among_usual_ones(end: str, zipped: str) -> None:
    """Between lines that are parsed together, and where the same happens again: a line ends as it always does."""
    cases = [each for case in LINES for each in (*[USUAL] * 20, case, case, USUAL, case)]
    check(judged(f"a.json{zipped}", packed(end.encode().join(line for line, _ in cases), zipped)), cases)


@pytest.mark.parametrize("around", ["alone", "first", "last"])
def test_json_lines_are_judged_the_same_at_either_end(around: str) -> None:
    """Alone in a file, before a hundred usual lines and behind them."""
    before, behind = [USUAL] * 100 * (around == "last"), [USUAL] * 100 * (around == "first")
    files = [[*before, case, *behind] for case in LINES]
    objects = {}
    for number, cases in enumerate(files):
        end, zipped = FORMS[number % len(FORMS)]
        body = end.encode().join(line for line, _ in cases)
        objects[f"{number:03}.json{zipped}"] = packed(body, zipped)
    rows, problems = staged(objects)
    assert problems == {}
    check(rows, [case for cases in files for case in cases])


@pytest.mark.parametrize("block_bytes", [1, 100, 1000])
@pytest.mark.parametrize("suffix", [".json", ".jsonl.gz", ".csv", ".csv.gz"])
def test_where_a_block_ends_never_shows(monkeypatch: pytest.MonkeyPatch, block_bytes: int, suffix: str) -> None:
    """Blocks of a line each, or of a few lines, from pieces of any size: the same records on the same lines."""
    cases = [line for line, _ in LINES] if "json" in suffix else [HEADER, *(line.encode() for line, _ in CSV_CASES)]
    body = packed(b"\r\n".join(cases) + b"\n" + cases[-1], suffix)
    whole = judged(f"a{suffix}", body)
    monkeypatch.setattr(lines, "BLOCK_BYTES", block_bytes)
    for chunk_bytes in (70, 3000, 1 << 20):
        assert judged(f"a{suffix}", body, chunk_bytes=chunk_bytes) == whole


def packed(body: bytes, suffix: str) -> bytes:
    return gzip.compress(body, mtime=0) if suffix.endswith(".gz") else body


def test_the_oracle_agrees_with_the_table_of_cases() -> None:
    """The independent computation follows the same contract."""
    body = b"\n".join(line for line, _ in LINES)
    assert outcomes(judged("cases.json", body)) == expected("cases.json", body)
    body = b"\r\n".join([HEADER, *(line.encode() for line, _ in CSV_CASES)])
    assert outcomes(judged("cases.csv", body)) == expected("cases.csv", body)


@pytest.mark.parametrize("reason", [*rules.RULES, "type: lower case", "type: trim", "id: trim", "parent_id: trim"])
def test_dropping_a_rule_is_noticed(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """For each rule there is a case that fails without it: the table of cases protects every one."""
    name, _, what = reason.partition(": ")
    if reason in rules.RULES:
        monkeypatch.setattr(rules, "RULES", {name: rule for name, rule in rules.RULES.items() if name != reason})
    elif what == "lower case":
        monkeypatch.setattr(rules, "_lowered", lambda text: text)
    else:
        of, untrimmed = rules.Cleaned.of.__func__, []

        def cleaned(cls: Any, records: Any, too_late: datetime) -> Any:
            untrimmed.append(records.texts[name])
            return of(cls, records, too_late)

        trimmed = rules._trimmed
        monkeypatch.setattr(rules.Cleaned, "of", classmethod(cleaned))
        monkeypatch.setattr(rules, "_trimmed", lambda text: text if text is untrimmed[-1] else trimmed(text))
    # There is no month for a transaction without a timestamp, or before all tables.
    try:
        rows, problems = staged({"cases.json": b"\n".join(line for line, _ in LINES)})
    except TypeError:
        return
    if problems:
        assert "IndexError" in problems["cases.json"]
        return
    assert not all(agrees(row, end) for row, (_, end) in zip(rows, LINES, strict=True))


def test_blank_lines_are_none_and_count() -> None:
    """Lines of nothing or blanks are no records; the numbers of the others are those that an editor shows."""
    rows = judged("a.json", INVALID_UTF8 + b"\r\n\r\n  \n\xef\xbb\xbf \t\n\n" + IGNORED_INVALID_UTF8)
    assert [(row["line_number"], row["kind"]) for row in rows] == [(1, "rejected"), (6, "refund")]


def test_a_line_that_is_too_long_is_rejected_with_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given lines of exactly the greatest length, one more, and one of blanks, then only the second is rejected."""
    monkeypatch.setattr(records, "LINE_BYTES", 200)
    fits = USUAL[0][:-1] + b" " * (200 - len(USUAL[0])) + b"}"
    rows = judged("a.json", fits + b"\r\n" + fits[:-1] + b" }\n" + b" " * 300 + b"\n" + "\u00a0".encode() * 150)
    assert [(row["line_number"], row["reasons"]) for row in rows] == [
        (1, None),
        (2, ["line_too_long"]),
        (4, ["line_too_long"]),
    ]
    assert rows[1]["raw_text"] == (fits[:-1] + b" }").decode()
    [odd] = judged("a.json", USUAL[0].rjust(200))
    assert odd["id"] == "a"
    monkeypatch.setattr(records, "_RAW_TEXT_LETTERS", 10)
    [row] = judged("a.json", fits + b" ")
    assert row["raw_text"] == fits[:10].decode()


CSV_CASES: list[tuple[str, Any]] = [
    (
        "1.50,a,refund,2026-09-05T10:00:00Z,p,x",
        {"id": "a", "kind": "refund", "parent_id": "p", "amount": Decimal("1.50")},
    ),
    ('"1.50","a,b","Refund","2026-09-05 10:00:00",p,"say ""x"""', {"id": "a,b"}),
    ('1.50,"a ""b""",refund,2026-09-05T10:00:00Z,p,', {"id": 'a "b"'}),
    ("1.50, a ,refund,2026-09-05T10:00:00Z, p ,", {"id": "a", "parent_id": "p"}),
    ('1.50,"",refund,2026-09-05T10:00:00Z,,', ["id_missing", "parent_id_missing"]),
    ("1.50,a,purchase,2026-09-05T10:00:00Z,,", ["customer_id_missing", "merchant_id_missing"]),
    ("1.50,a,refund,2026-09-05T10:00:00Z,p", ["csv_malformed"]),
    ("1.50,a,refund,2026-09-05T10:00:00Z,p,x,y", ["csv_malformed"]),
    ('1.50,"a,refund,2026-09-05T10:00:00Z,p,x', ["csv_malformed"]),
    ('x",a,refund,2026-09-05T10:00:00Z,p,x', ["csv_malformed"]),
    ('1.50,"a"b,refund,2026-09-05T10:00:00Z,p,x', ["csv_malformed"]),
    ("1.50,a\rb,refund,2026-09-05T10:00:00Z,p,x", ["csv_malformed"]),
    ("1.50,a,refund,2026-09-05T10:00:00Z,p,x\r\r", ["csv_malformed"]),
    ('1.50,"a\rb",refund,2026-09-05T10:00:00Z,p,x', {"id": "a\rb"}),
    ("\ufeff1.50,a,refund,2026-09-05T10:00:00Z,p,x", {"amount": Decimal("1.50")}),
    ("\ufeff \t", "blank"),
    ("1.50,a\0,refund,2026-09-05T10:00:00Z,p,x", {"id": "a\0"}),
    ("#1.50,a,refund,2026-09-05T10:00:00Z,p,x", ["amount_invalid"]),
    ("amount,id,type,timestamp,parent_id,note", "header"),
    ("\ufeffamount,id,type,timestamp,parent_id,note", "header"),
    ("", "blank"),
    ("  ", "blank"),
]
HEADER = "\ufeffamount,id,type,timestamp,parent_id,note".encode()
USUAL_CSV = "1.50,a,refund,2026-09-05T10:00:00Z,p,x", {"id": "a"}


@pytest.mark.parametrize("around", ["alone", "among usual lines", "first", "last", "all"])
@pytest.mark.parametrize(("end", "zipped"), FORMS)
def test_each_csv_line_is_taken_or_rejected(around: str, end: str, zipped: str) -> None:
    """Any column order, a byte order mark, CRLF and quoted commas are fine; a ragged line is rejected; wherever it stands."""
    usual = [USUAL_CSV] * 50
    batches = {
        "alone": [[case] for case in CSV_CASES],
        "among usual lines": [[each for case in CSV_CASES for each in (*usual[:5], case, *usual[:5])]],
        "first": [[case, *usual] for case in CSV_CASES],
        "last": [[*usual, case] for case in CSV_CASES],
        "all": [CSV_CASES],
    }[around]
    objects = {
        f"{number:03}.csv{zipped}": packed(HEADER + end.encode() + end.join(line for line, _ in batch).encode(), zipped)
        for number, batch in enumerate(batches)
    }
    found, problems = staged(objects)
    assert problems == {}
    rows = {(row["file"], row["line_number"]): row for row in found}
    cases = {(file, number): case for file, batch in enumerate(batches) for number, case in enumerate(batch, 2)}
    for place, (line, ends) in cases.items():
        if isinstance(ends, str):
            assert place not in rows, line
        else:
            assert agrees(rows[place], ends), (line, ends, rows[place])
    assert len(rows) == sum(not isinstance(ends, str) for _, ends in cases.values())


def test_a_header_may_lie_in_several_members_of_a_gzip() -> None:
    """Given a file that was zipped in parts, the first of them empty or cut within the header, then it is read as one."""
    line = USUAL_CSV[0].encode()
    for cut in (0, 5, len(HEADER)):
        body = gzip.compress(HEADER[:cut]) + gzip.compress(HEADER[cut:] + b"\r\n") + gzip.compress(line)
        [row] = judged("a.csv.gz", body)
        assert (row["line_number"], row["id"]) == (2, "a")


def test_parquet_timestamps_far_away_are_no_dates() -> None:
    """Given milliseconds that microseconds cannot say, or that are beyond Python's years, then the row is rejected, as it is."""
    again_in_2026 = (2**64 + 1_788_000_000_000_000) // 1000 + 1  # times a thousand it begins anew
    far = [again_in_2026, -again_in_2026, 2**63 - 1, -(2**63), 253_402_300_800_000]
    sink = io.BytesIO()
    columns = {"id": ["a"] * 5, "type": ["sale"] * 5, "amount": ["1"] * 5}
    pq.write_table(pa.table({**columns, "timestamp": pa.array(far, pa.timestamp("ms", "UTC"))}), sink)
    rows = judged("a.parquet", sink.getvalue())
    assert [row["reasons"] for row in rows] == [["type_unknown", "timestamp_invalid"]] * 5
    assert str(again_in_2026) in rows[0]["raw_text"]


def test_the_contract_needs_neither_arrow_nor_spark() -> None:
    """Given a process without them, such as a Lambda, then the contract can be imported, and every reason is in it."""
    code = (
        "import sys; sys.modules.update(pyarrow=None, pyspark=None, numpy=None)\n"
        "from refunds_lake.schema.contract import RULES; print(*dict.fromkeys(rule.reason for rule in RULES))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == list(rules.RULES)
