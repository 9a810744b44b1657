"""The record contract, rule by rule: which lines are transactions, and every reason why another is not."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import oracle
import pyarrow.parquet as pq
import pytest
from lakehouse import NOW, Lakehouse
from refunds_lake import rules
from refunds_lake.months import Months
from refunds_lake.raw_files import fresh, inspect
from refunds_lake.runs import State
from refunds_lake.staging import STAGED, Portion, Stage

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
    (moment("2026-09-05 10:00:00.1234567+10:00"), {"timestamp": datetime(2026, 9, 5, 0, 0, 0, 123456, tzinfo=UTC)}),
    (moment("2026-09-01T05:00:00+1000"), {"timestamp": datetime(2026, 8, 31, 19, tzinfo=UTC), "month": "2026-08"}),
    (moment("2026-09-05T10:00:00-03"), {"timestamp": datetime(2026, 9, 5, 13, tzinfo=UTC)}),
    (moment("2024-02-29T00:00:00Z"), {"month": "2024-02"}),
    (moment("2000-01-01T00:00:00Z"), {"month": "2000-01"}),
    (moment("2026-11-21T23:59:59.999999Z"), {"month": "2026-11"}),
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


@pytest.fixture
def lakehouse(tmp_path: Path) -> Lakehouse:
    """A lakehouse without Spark: records are judged before it comes in."""
    return Lakehouse(None, tmp_path)


def judged_lines(lakehouse: Lakehouse) -> list[dict[str, Any]]:
    """All records of what was delivered, judged, in order, as they are staged."""
    files, problems = inspect(lakehouse.raw, fresh(lakehouse.raw.listing(""), State()))
    assert not problems
    stage = Stage(lakehouse.raw, lakehouse.base, "staged/", Months.of("UTC"), rules.RULES)
    staged = stage(Portion(0, tuple(enumerate(files))))
    assert not staged.problems
    columns = dict.fromkeys(part.split()[0] for part in STAGED.split(", "))
    rows = []
    for each in list(lakehouse.base.listing("staged/")):
        kind = each.key.partition("kind=")[2].partition("/")[0]
        found = pq.ParquetFile(lakehouse.base.root / each.key).read().to_pylist()
        rows += [{**columns, **row, "kind": kind} for row in found]
        lakehouse.base.delete([each.key])
    assert len(rows) == staged.counts.total()
    return sorted(rows, key=lambda row: (row["file"], row["line_number"]))


def agrees(row: dict[str, Any], expected: Any) -> bool:
    if isinstance(expected, list):
        return sorted(row["reasons"] or []) == sorted(expected)
    return row["reasons"] is None and all(row[name] == value for name, value in expected.items())


def test_each_json_line_is_taken_or_rejected_with_all_its_reasons(lakehouse: Lakehouse) -> None:
    """Every case of the table ends as it says, and keeps its raw text when it is rejected."""
    lakehouse.deliver("cases.json", "\n".join(line for line, _ in JSON_CASES))
    rows = judged_lines(lakehouse)
    assert len(rows) == len(JSON_CASES)
    wrong = [
        (line, expected, row)
        for row, (line, expected) in zip(rows, JSON_CASES, strict=True)
        if not agrees(row, expected)
    ]
    assert wrong == []
    for row, (line, expected) in zip(rows, JSON_CASES, strict=True):
        assert row["raw_text"] == (line.removeprefix("\ufeff") if isinstance(expected, list) else None)


def test_the_oracle_agrees_with_the_table_of_cases() -> None:
    """The independent computation follows the same contract."""
    for line, expected in JSON_CASES:
        fields = oracle.json_fields(line.removeprefix("\ufeff"))
        row, reasons = oracle.judge(fields, NOW) if fields is not None else (None, ["not_json"])
        if isinstance(expected, list):
            assert sorted(reasons) == sorted(expected), line
        else:
            assert row is not None, (line, reasons)


@pytest.mark.parametrize("reason", [*rules.RULES, "type: lower case", "type: trim", "id: trim"])
def test_dropping_a_rule_is_noticed(lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """For each rule there is a case that fails without it: the table of cases protects every one."""
    if reason in rules.RULES:
        kept = {name: rule for name, rule in rules.RULES.items() if name != reason}
        monkeypatch.setattr(rules, "RULES", kept)
    elif reason == "type: lower case":
        monkeypatch.setattr(rules, "_lowered", lambda text: text)
    else:
        trimmed = rules._trimmed
        name = reason.partition(":")[0]
        monkeypatch.setattr(rules, "_trimmed", lambda each: each if each == name else trimmed(each))
    lines = [*(line.encode() for line, _ in JSON_CASES), INVALID_UTF8]
    lakehouse.deliver("cases.json", b"\n".join(lines))
    rows = judged_lines(lakehouse)
    expected = [*(outcome for _, outcome in JSON_CASES), ["invalid_utf8"]]
    assert not all(agrees(row, outcome) for row, outcome in zip(rows, expected, strict=True))


INVALID_UTF8 = b'{"id":"a\xff",' + P.encode() + b',"amount":"1"}'


def test_bytes_that_are_no_utf8_are_rejected_in_ids(lakehouse: Lakehouse) -> None:
    """An id whose bytes cannot be decoded is no id; elsewhere in the line they do not matter."""
    harmless = b'{"id":"a","note":"\xff",' + P.encode() + b',"amount":"1"}'
    lakehouse.deliver("a.json", INVALID_UTF8 + b"\r\n\r\n  \n" + harmless)
    rows = judged_lines(lakehouse)
    assert [(row["line_number"], row["kind"]) for row in rows] == [(1, "rejected"), (4, "purchase")]
    assert rows[0]["reasons"] == ["invalid_utf8"]


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
    ("#1.50,a,refund,2026-09-05T10:00:00Z,p,x", ["amount_invalid"]),
    ("amount,id,type,timestamp,parent_id,note", "header"),
    ("", "blank"),
]


@pytest.mark.parametrize("name", ["cases.csv", "cases.csv.gz"])
def test_each_csv_line_is_taken_or_rejected(lakehouse: Lakehouse, name: str) -> None:
    """Any column order, a byte order mark, CRLF and quoted commas are fine; a ragged line is rejected."""
    text = "\r\n".join(["\ufeffamount,id,type,timestamp,parent_id,note", *(line for line, _ in CSV_CASES)]) + "\r\n"
    lakehouse.deliver(name, gzip.compress(text.encode()) if name.endswith(".gz") else text)
    rows = {row["line_number"]: row for row in judged_lines(lakehouse)}
    for number, (line, expected) in enumerate(CSV_CASES, 2):
        if isinstance(expected, str):
            assert number not in rows, line
        else:
            assert agrees(rows[number], expected), (line, expected, rows[number])
    assert len(rows) == sum(not isinstance(expected, str) for _, expected in CSV_CASES)
