"""Writes a sample to files as its senders would: gzip JSON Lines and CSV for each month, later versions, bad records.

What the transactions are is the business of sample.py; the same sample gives the same bytes.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Any

from deployer.errors import Refused
from deployer.files import name_in_errors, write_file
from deployer.lake.sample.transactions import Record, Sample

OUR_NAMES = re.compile(r"(transactions|updates)-\d{4}-\d{2}\.(jsonl\.gz|csv)")
CSV_COLUMNS = ("id", "type", "timestamp", "amount", "customer_id", "merchant_id", "parent_id")
CSV_SHARE = 0.3
BAD_SHARE = 0.005
SYDNEY = timezone(timedelta(hours=10))
BUFFER_LINES = 2000


def answer_path(folder: Path) -> Path:
    """Return the path of a sample's answer: beside its folder, so that folder/* matches raw files only."""
    return folder.with_name(f"{folder.name}.answer.json")


def write_sample(sample: Sample, folder: Path) -> dict[str, Any]:
    """Write the files and the answer, and return the answer as it was written.

    An older sample in the folder is replaced. Raise Refused when other files are there: they would be ingested too.
    One that breaks off leaves no files: half a sample would have the answer of none.
    """
    with name_in_errors(folder):
        prepare(folder)
        try:
            return _write(sample, folder)
        except BaseException:
            _remove(folder)
            raise


def _write(sample: Sample, folder: Path) -> dict[str, Any]:
    bad = BadRecords(sample)
    render = Renderer(random.Random(sample.seed + 1))
    with closing(SampleFiles(folder, sample.calendar.names)) as files:
        for sent in sample.sent():
            files.write(
                sent.month_index, render.record(sent.record), as_csv=render.next_is_csv(), update=sent.is_update
            )
            for reason, fields in bad.due():
                sample.answer.rejected[reason] += 1
                as_csv = fields is not None and render.next_is_csv()
                files.write(sent.month_index, render.bad(fields), as_csv=as_csv, update=False)
    document = answer_document(sample, files.names())
    write_file(answer_path(folder), json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return document


def prepare(folder: Path) -> None:
    """Make the folder, and remove an older sample from it."""
    if folder.exists() and not folder.is_dir():
        raise Refused(f"{folder} is a file", hint="choose another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(folder.iterdir())
    strangers = [path.name for path in found if OUR_NAMES.fullmatch(path.name) is None]
    if strangers:
        raise Refused(
            f"{folder} has other files in it, such as {strangers[0]}", hint="choose another folder with --out"
        )
    _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a sample and its answer."""
    for path in (*folder.iterdir(), answer_path(folder)):
        path.unlink(missing_ok=True)


class SampleFiles:
    """One open file for each month and format; lines are gathered before they are compressed."""

    def __init__(self, folder: Path, months: list[str]) -> None:
        self._folder, self._months = folder, months
        self._streams: dict[str, IO[bytes] | gzip.GzipFile] = {}
        self._lines: dict[str, list[str]] = {}
        self._open_files: list[IO[bytes] | gzip.GzipFile] = []

    def write(self, month_index: int, fields: Mapping[str, str] | str, *, as_csv: bool, update: bool) -> None:
        """Add a record, or a line that is none, to the file of its month."""
        as_csv = as_csv and not update and not isinstance(fields, str)
        kind, suffix = "updates" if update else "transactions", "csv" if as_csv else "jsonl.gz"
        name = f"{kind}-{self._months[month_index]}.{suffix}"
        lines = self._lines[name] if name in self._lines else self._open(name)
        lines.append(fields if isinstance(fields, str) else (csv_line(fields) if as_csv else json_line(fields)))
        if len(lines) >= BUFFER_LINES:
            self._flush(name)

    def names(self) -> list[str]:
        """Return the names of the files in the order of their ingestion."""
        return sorted(self._lines)

    def close(self) -> None:
        """Write what is gathered, and close every file."""
        for name in self._lines:
            self._flush(name)
        for file in self._open_files:
            file.close()

    def _open(self, name: str) -> list[str]:
        raw = (self._folder / name).open("wb")
        self._streams[name], self._lines[name] = raw, []
        if name.endswith(".gz"):  # no name and no time inside: the bytes depend on the content alone
            self._streams[name] = gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0)
            self._open_files.append(self._streams[name])
        else:
            self._lines[name].append(",".join(CSV_COLUMNS) + "\n")
        self._open_files.append(raw)
        return self._lines[name]

    def _flush(self, name: str) -> None:
        self._streams[name].write("".join(self._lines[name]).encode())
        self._lines[name].clear()


class Renderer:
    """Writes records in the many forms that the record contract allows."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def next_is_csv(self) -> bool:
        """Choose the format of the next record."""
        return self._chance.random() < CSV_SHARE

    def record(self, record: Record) -> dict[str, str]:
        """Return a record's fields as text."""
        fields = {
            "id": record.id,
            "type": record.type if self._chance.random() < 0.97 else record.type.upper(),
            "timestamp": self.timestamp(record.moment),
            "amount": f"{record.cents // 100}.{record.cents % 100:02}",
        }
        if record.type == "purchase":
            return {**fields, "customer_id": record.customer_id, "merchant_id": record.merchant_id}
        return {**fields, "parent_id": record.parent_id}

    def timestamp(self, moment: int) -> str:
        """Write a moment: mostly in UTC with Z, sometimes with an offset, a fraction, a blank or no zone."""
        form = self._chance.random()
        if form < 0.05:
            return datetime.fromtimestamp(moment, SYDNEY).isoformat()
        text = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        if form < 0.08:
            return text.replace("T", " ")
        return f"{text}.000Z" if form < 0.12 else f"{text}Z"

    def bad(self, fields: Mapping[str, str] | None) -> dict[str, str] | str:
        """Return a bad record as it is, or a cut-off line for None."""
        return dict(fields) if fields is not None else '{"id": "broken", "type": "refund", "timest\n'


class BadRecords:
    """Bad records, each broken in one way, as a small share of all; their number by reason goes into the answer."""

    def __init__(self, sample: Sample) -> None:
        self._chance = random.Random(sample.seed + 2)
        self._moment = datetime.fromtimestamp(sample.calendar.first, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._count = 0

    def due(self) -> Iterator[tuple[str, dict[str, str] | None]]:
        """Yield the bad records that follow the next good one: mostly none."""
        if self._chance.random() < BAD_SHARE:
            self._count += 1
            yield self._chance.choice(list(self._kinds().items()))

    def _kinds(self) -> dict[str, dict[str, str] | None]:
        """Return one bad record for each reason, under the job's name of the reason."""
        common = {"id": f"bad-{self._count}", "timestamp": self._moment, "amount": "12.50"}
        purchase = {**common, "type": "purchase", "customer_id": "C000001", "merchant_id": "M0001"}
        refund = {**common, "type": "refund", "parent_id": "nobody"}
        return {
            "not_json": None,
            "id_missing": {**refund, "id": "  "},
            "id_too_long": {**refund, "id": "x" * 65},
            "type_unknown": {**refund, "type": "chargeback"},
            "timestamp_missing": {**refund, "timestamp": ""},
            "timestamp_invalid": {**refund, "timestamp": "2025-02-30T10:00:00Z"},
            "timestamp_too_early": {**refund, "timestamp": "1999-12-31T23:59:59Z"},
            "timestamp_too_late": {**refund, "timestamp": "2999-01-01T00:00:00Z"},
            "amount_missing": {**refund, "amount": ""},
            "amount_invalid": {**refund, "amount": "12.505"},
            "amount_not_positive": {**refund, "amount": "0.00"},
            "customer_id_missing": {**purchase, "customer_id": ""},
            "merchant_id_missing": {**purchase, "merchant_id": ""},
            "parent_id_present": {**purchase, "parent_id": "nobody"},
            "parent_id_missing": {**refund, "parent_id": ""},
        }


def json_line(fields: Mapping[str, str]) -> str:
    """Write a record as a JSON line; every other amount as a number, which must not pass through a float."""
    texts = [f'"{name}": {json.dumps(value)}' for name, value in fields.items() if name != "amount"]
    amount = fields.get("amount", "")
    is_number = amount.endswith(("1", "3", "5", "7", "9")) and amount.replace(".", "", 1).isdigit()
    return "{" + ", ".join([*texts, f'"amount": {amount if is_number else json.dumps(amount)}']) + "}\n"


def csv_line(fields: Mapping[str, str]) -> str:
    """Write a record as a CSV line."""
    values = [fields.get(name, "") for name in CSV_COLUMNS]
    if not any('"' in value or "," in value for value in values):
        return ",".join(values) + "\n"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def answer_document(sample: Sample, files: list[str]) -> dict[str, Any]:
    """Return the answer as it is written: money as text with two decimals, customers in order."""
    answer = sample.answer
    counts = {name: answer.counts[name] for name in ("kept", "duplicate", "superseded")}
    counts["rejected"] = sum(answer.rejected.values())
    return {
        "transactions": sample.transactions,
        "months": sample.calendar.names,
        "seed": sample.seed,
        "files": files,
        "counts": {"read": sum(counts.values()), **counts},
        "rows": {name: answer.rows[name] for name in ("purchase", "refund", "void")},
        "rejected": dict(sorted(answer.rejected.items())),
        "left_out": dict(sorted(answer.left_out.items())),
        "total": rows_of(answer.total),
        "monthly": {month: rows_of(answer.monthly[month]) for month in sorted(answer.monthly)},
    }


def rows_of(cents: Counter[str]) -> list[dict[str, str]]:
    """Return totals in the form of the JSON report."""
    return [
        {"customer_id": customer, "total_refund": f"{cents[customer] // 100}.{cents[customer] % 100:02}"}
        for customer in sorted(cents)
    ]
