"""The job's contract a second time, in plain Python without Spark: what must be in the tables, given the raw objects.

It is written from the design, not from the code: files are split and parsed by hand, and the tables are a plain
function of all objects at once. Slow and simple on purpose.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

FIELDS = ("id", "type", "timestamp", "amount", "customer_id", "merchant_id", "parent_id")
BLANKS = " \t\r\n"
LINE_BYTES = 1 << 20
RAW_TEXT_LETTERS = 1 << 16


@dataclass(frozen=True)
class Raw:
    """A raw object as delivered."""

    key: str
    body: bytes
    modified: datetime


class Number(str):
    """A JSON number as it was written."""


def judge(fields: dict[str, Any], modified: datetime) -> tuple[dict[str, Any] | None, list[str]]:
    """The transaction that the fields make up, or every reason why they do not."""
    reasons = []

    def unreadable(*names: str) -> bool:
        return any(type(fields.get(name)) is str and not encodable(fields[name]) for name in names)

    def text(name: str) -> str | None:
        value = fields.get(name)
        if value is None or type(value) is not str:
            return None
        return value.strip(BLANKS) or None

    def other_type(name: str) -> bool:
        return fields.get(name) is not None and type(fields[name]) is not str

    kind = (text("type") or "").lower()
    if type(fields.get("type")) is not str and fields.get("type") is not None:
        kind = "?"
    important = {
        "purchase": ("customer_id", "merchant_id", "parent_id"),
        "refund": ("parent_id",),
        "void": ("parent_id",),
    }
    if unreadable("id", *important.get(kind, ())):
        reasons.append("invalid_utf8")
    if other_type("id"):
        reasons.append("id_not_text")
    elif text("id") is None:
        reasons.append("id_missing")
    elif len(text("id") or "") > 64:
        reasons.append("id_too_long")
    if not kind:
        reasons.append("type_missing")
    elif kind not in ("purchase", "refund", "void"):
        reasons.append("type_unknown")
    moment, reason = judge_timestamp(fields.get("timestamp"), modified)
    reasons += [reason] if reason else []
    amount, reason = judge_amount(fields.get("amount"))
    reasons += [reason] if reason else []
    if kind == "purchase":
        for name in ("customer_id", "merchant_id"):
            if other_type(name):
                reasons.append(f"{name}_not_text")
            elif text(name) is None:
                reasons.append(f"{name}_missing")
        if other_type("parent_id") or text("parent_id"):
            reasons.append("parent_id_present")
    if kind in ("refund", "void"):
        if other_type("parent_id"):
            reasons.append("parent_id_not_text")
        elif text("parent_id") is None:
            reasons.append("parent_id_missing")
        elif len(text("parent_id") or "") > 64:
            reasons.append("parent_id_too_long")
    if reasons:
        return None, reasons
    names = ("customer_id", "merchant_id") if kind == "purchase" else ("parent_id",)
    return {"kind": kind, "id": text("id"), "timestamp": moment, "amount": amount, **{n: text(n) for n in names}}, []


def judge_timestamp(value: Any, modified: datetime) -> tuple[datetime | None, str | None]:
    if value is None or value == "":
        return None, "timestamp_missing"
    match = re.fullmatch(
        r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
        r"(Z|([+-])([0-9]{2})(?::?([0-9]{2}))?)?",
        value if type(value) is str else "",
    )
    if not match:
        return None, "timestamp_invalid"
    try:
        offset = timedelta(hours=int(match[10] or 0), minutes=int(match[11] or 0))
        if offset > timedelta(hours=18) or int(match[11] or 0) > 59:
            return None, "timestamp_invalid"
        zone = timezone(-offset if match[9] == "-" else offset)
        micros = int((match[7] or "0").ljust(9, "0")[:3]) * 1000
        moment = datetime(*(int(match[i]) for i in range(1, 7)), micros, tzinfo=UTC)  # type: ignore[misc]
        moment -= zone.utcoffset(None)
    except OverflowError:
        return None, "timestamp_too_late" if match[9] == "-" else "timestamp_too_early"
    except ValueError:
        return None, "timestamp_invalid"
    if moment < datetime(2000, 1, 1, tzinfo=UTC):
        return None, "timestamp_too_early"
    if moment.date() > modified.date() + timedelta(days=1):
        return None, "timestamp_too_late"
    return moment, None


def judge_amount(value: Any) -> tuple[Decimal | None, str | None]:
    if value is None or value == "":
        return None, "amount_missing"
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,16}(\.[0-9]{1,2})?", value):
        return None, "amount_invalid"
    amount = Decimal(value).quantize(Decimal("0.01"))
    return (amount, None) if amount > 0 else (None, "amount_not_positive")


def encodable(text: str) -> bool:
    """Whether a text is valid: without traces of bytes that are not UTF-8, and of halves of surrogate pairs."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


TOKEN = re.compile(
    r"[ \t\r\n]*(?:([][{},:])"
    r'|"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)"'
    r"|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)|(true|false|null))"
)
WORDS = {"true": True, "false": False, "null": None}
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def unescaped(text: str) -> str:
    """The text that the inside of a JSON string means; only adjacent escapes make a surrogate pair."""

    def letters(match: re.Match[str]) -> str:
        if match[2]:
            return ESCAPES.get(match[2], match[2])
        units = b"".join(int(unit, 16).to_bytes(2, "big") for unit in match[1][2:].split("\\u"))
        return units.decode("utf-16-be", "surrogatepass")

    return re.sub(r"((?:\\u[0-9a-fA-F]{4})+)|\\(.)", letters, text)


def parse_json(text: str) -> Any:
    """RFC 8259 without recursion, numbers as they are written, the last of equal names; raises ValueError."""
    result: list[Any] = []
    stack: list[Any] = [result]
    names: list[str] = [""]
    expected, at = {"value"}, 0

    def put(value: Any) -> None:
        if isinstance(stack[-1], dict):
            stack[-1][names[-1]] = value
        else:
            stack[-1].append(value)

    def behind_a_value() -> set[str]:
        if len(stack) == 1:
            return {"end"}
        return {",", "}" if isinstance(stack[-1], dict) else "]"}

    def check(what: str) -> None:
        if what not in expected:
            raise ValueError(f"{what} at {at}")

    while at < len(text):
        token = TOKEN.match(text, at)
        if token is None:
            raise ValueError(f"no token at {at}")
        mark, string, number, word = token.groups()
        if mark in ("{", "["):
            check("value")
            container: Any = {} if mark == "{" else []
            put(container)
            stack.append(container)
            names.append("")
            expected = {"name", "}"} if mark == "{" else {"value", "]"}
        elif mark in ("}", "]"):
            check(mark)
            stack.pop()
            names.pop()
            expected = behind_a_value()
        elif mark == ",":
            check(",")
            expected = {"name"} if isinstance(stack[-1], dict) else {"value"}
        elif mark == ":":
            check(":")
            expected = {"value"}
        elif string is not None and "name" in expected:
            names[-1] = unescaped(string)
            expected = {":"}
        else:
            check("value")
            put(unescaped(string) if string is not None else Number(number) if number else WORDS[word])
            expected = behind_a_value()
        at = token.end()
    check("end")
    return result[0]


def json_fields(line: str) -> dict[str, Any] | None:
    """The fields of a JSON line; None if it is not a JSON object."""
    try:
        value = parse_json(line.strip(BLANKS))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def csv_values(line: str) -> list[str] | None:
    """The fields of a line of CSV by RFC 4180, except that a record cannot span lines; None if it is not CSV."""
    values, rest = [], "," + line
    while rest:
        field = re.match(r',(?:"((?:[^"]|"")*)"|([^",\r]*))(?=,|\Z)', rest)
        if field is None:
            return None
        values.append(field[1].replace('""', '"') if field[1] is not None else field[2])
        rest = rest[field.end() :]
    return values


def lines_of(raw: Raw) -> Iterable[tuple[int, str, str, int]]:
    """The number, text, raw text and size in bytes of each line that is not blank; LF and CRLF end a line."""
    body = gzip.decompress(raw.body) if raw.key.endswith(".gz") else raw.body
    for number, line in enumerate(body.split(b"\n"), 1):
        line = line.removesuffix(b"\r")
        text = line.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        if text.strip(BLANKS):
            yield number, text, line.decode("utf-8", "replace").removeprefix("\ufeff"), len(line)


def records(raw: Raw) -> Iterable[tuple[int, str, dict[str, Any] | None, str]]:
    """Line number, raw text, fields or None, and what is wrong with a line without fields."""
    is_csv, header, names = ".csv" in raw.key, None, list[str]()
    for number, text, raw_text, size in lines_of(raw):
        if is_csv and header is None:
            header, names = text, [name.strip().lower() for name in csv_values(text) or ()]
        if is_csv and text == header:
            continue
        if size > LINE_BYTES:
            yield number, raw_text[:RAW_TEXT_LETTERS], None, "line_too_long"
        elif is_csv:
            values = csv_values(text)
            if values is None or len(values) != len(names):
                yield number, raw_text, None, "csv_malformed"
                continue
            yield (
                number,
                raw_text,
                {name: value for name, value in zip(names, values, strict=True) if name in FIELDS},
                "",
            )
        else:
            yield number, raw_text, json_fields(text), "not_json"


def month_of(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m")


def lake(raws: Iterable[Raw], zone: str = "UTC") -> dict[str, list[dict[str, Any]]]:
    """All tables, as `Lakehouse.tables` shows them."""
    best: dict[tuple[str, str], tuple[Any, dict[str, Any]]] = {}
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("purchase", "void", "refund", "refund_detail", "rejected")
    }
    for raw in raws:
        for number, line, fields, fault in records(raw):
            row, reasons = judge(fields, raw.modified) if fields is not None else (None, [fault])
            if row is None:
                tables["rejected"].append(
                    {"raw_text": line, "reasons": reasons, "source_file": raw.key, "line_number": number,
                     "ingested_at": raw.modified, "month": month_of(raw.modified, zone)}
                )  # fmt: skip
                continue
            content = (row["timestamp"], row["amount"], *((row.get(n) or "").encode() for n in FIELDS[4:]))
            version = (raw.modified, raw.key.encode(), number, content)
            key = (row["kind"], row["id"])
            if key not in best or version > best[key][0]:
                best[key] = (version, {**row, "ingested_at": raw.modified, "source_file": raw.key})
    for (kind, _), (_, row) in best.items():
        tables[kind].append(
            {
                **{name: value for name, value in row.items() if name != "kind"},
                "month": month_of(row["timestamp"], zone),
            }
        )
    tables["refund_detail"] = [detail(refund, tables) for refund in tables["refund"]]
    return tables


def detail(refund: dict[str, Any], tables: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """What becomes of one refund."""
    parent = next((p for p in tables["purchase"] if p["id"] == refund["parent_id"]), None)
    voided = {void["parent_id"] for void in tables["void"]}
    reason = None
    if parent is None:
        reason = "orphan"
    elif parent["id"] in voided:
        reason = "voided_purchase"
    elif refund["id"] in voided:
        reason = "voided_refund"
    elif parent["month"] == refund["month"]:
        reason = "same_month"
    return {
        "refund_id": refund["id"],
        "customer_id": parent and parent["customer_id"],
        "merchant_id": parent and parent["merchant_id"],
        "purchase_month": parent and parent["month"],
        "amount": refund["amount"],
        "counted": reason is None,
        "reason": reason,
        "month": refund["month"],
    }
