"""Computes the refund answer from raw files alone, by the rules of the record contract, in plain Python.

It shares no code with the job, the SQL or the sample generator, so that agreement with it means something.
Run by hand it prints the answer as JSON: python tests/local/independent_answer.py FILE... (in the order of their ingestion).
"""

import csv
import gzip
import io
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:(Z)|([+-])(\d\d):(\d\d))?", re.ASCII | re.IGNORECASE
)
AMOUNT = re.compile(r"\d{1,16}(\.\d{1,2})?", re.ASCII)
CSV_SUFFIXES = (".csv", ".csv.gz")


@dataclass(frozen=True, order=True)
class Transaction:
    """One valid record, typed; two records with equal fields are the same content."""

    type: str
    id: str
    timestamp: datetime
    amount: Decimal
    customer_id: str
    merchant_id: str
    parent_id: str


def raw_records(path: Path) -> Iterator[dict[str, Any] | None]:
    """Yield each record of a JSON Lines or CSV file, plain or gzip; None for a line that is not a JSON object."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    if path.name.endswith(CSV_SUFFIXES):
        yield from csv.DictReader(io.StringIO(text, newline=""))
        return
    for line in text.split("\n"):
        if line.strip():
            yield parsed_line(line)


def parsed_line(line: str) -> dict[str, Any] | None:
    """Read one JSON line with its numbers kept as they were written."""
    try:
        document = json.loads(line, parse_float=str, parse_int=str)
    except json.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def parsed_timestamp(text: str, today: datetime) -> datetime | None:
    """Return the moment in UTC, or None if the contract rejects it."""
    match = TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
    microseconds = int((match.group(7) or "0").ljust(3, "0")[:3]) * 1000
    zone: timezone = UTC
    if match.group(9):
        sign = 1 if match.group(9) == "+" else -1
        zone = timezone(sign * timedelta(hours=int(match.group(10)), minutes=int(match.group(11))))
    try:
        moment = datetime(year, month, day, hour, minute, second, microseconds, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    end_of_tomorrow = today.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
    return moment if moment.year >= 2000 and moment < end_of_tomorrow else None


def transaction(record: dict[str, Any] | None, today: datetime) -> Transaction | None:
    """Return the typed transaction, or None for a record that the contract rejects."""
    if record is None:
        return None
    field = {name: str(value).strip() if value is not None else "" for name, value in record.items() if name}
    kind = field.get("type", "").lower()
    identifier = field.get("id", "")
    moment = parsed_timestamp(field.get("timestamp", ""), today)
    amount_text = field.get("amount", "")
    parent_id = field.get("parent_id", "")
    customer_id, merchant_id = field.get("customer_id", ""), field.get("merchant_id", "")
    if kind not in {"purchase", "refund", "void"} or not 1 <= len(identifier) <= 64 or moment is None:
        return None
    if not AMOUNT.fullmatch(amount_text) or Decimal(amount_text) <= 0:
        return None
    if kind == "purchase":
        complete = bool(customer_id) and bool(merchant_id) and not parent_id
    else:
        complete = bool(parent_id)
        customer_id = merchant_id = ""
    if not complete:
        return None
    return Transaction(kind, identifier, moment, Decimal(amount_text), customer_id, merchant_id, parent_id)


def money(amount: Decimal) -> str:
    """Write an amount with two decimals."""
    return f"{amount:.2f}"


def as_rows(totals: dict[str, Decimal]) -> list[dict[str, str]]:
    """Write totals as the report does: a list in customer order."""
    return [{"customer_id": customer, "total_refund": money(totals[customer])} for customer in sorted(totals)]


def refunds(
    transactions: Iterable[Transaction], zone: str = "UTC"
) -> tuple[dict[str, Decimal], dict[str, dict[str, Decimal]]]:
    """Return the total refund per customer, for all time and per month of the refund."""
    tables: dict[str, dict[str, Transaction]] = {"purchase": {}, "refund": {}, "void": {}}
    for each in transactions:
        tables[each.type][each.id] = each
    voided = {void.parent_id for void in tables["void"].values()}
    total: dict[str, Decimal] = defaultdict(Decimal)
    monthly: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    local = ZoneInfo(zone)
    for refund in tables["refund"].values():
        purchase = tables["purchase"].get(refund.parent_id)
        if purchase is None or purchase.id in voided or refund.id in voided:
            continue
        month, purchase_month = (moment.timestamp.astimezone(local).strftime("%Y-%m") for moment in (refund, purchase))
        if month != purchase_month:
            total[purchase.customer_id] += refund.amount
            monthly[month][purchase.customer_id] += refund.amount
    return total, monthly


def answer(files: Sequence[Path], zone: str = "UTC", today: datetime | None = None) -> dict[str, Any]:
    """Return counts, rows and totals of raw files given in the order of their ingestion."""
    today = today or datetime.now(UTC)
    counts: Counter[str] = Counter(read=0, kept=0, duplicate=0, superseded=0, rejected=0)
    current: dict[tuple[str, str], Transaction] = {}
    for path in files:
        valid = []
        for record in raw_records(path):
            counts["read"] += 1
            typed = transaction(record, today)
            if typed is None:
                counts["rejected"] += 1
            else:
                valid.append(typed)
        # Within one object, the content decides which version is the last one, not the line.
        for typed in sorted(valid):
            key = (typed.type, typed.id)
            known = current.get(key)
            if known is None:
                counts["kept"] += 1
            else:
                counts["duplicate" if known == typed else "superseded"] += 1
            current[key] = typed
    total, monthly = refunds(current.values(), zone)
    rows = Counter(each.type for each in current.values())
    return {
        "counts": dict(counts),
        "rows": {name: rows[name] for name in ("purchase", "refund", "void")},
        "total": as_rows(total),
        "monthly": {month: as_rows(monthly[month]) for month in sorted(monthly)},
    }


if __name__ == "__main__":
    json.dump(answer([Path(name) for name in sys.argv[1:]]), sys.stdout, indent=2, ensure_ascii=False)
    print()
