"""A lake for the tests of statements: refunds in memory, runs that publish them, and a bucket that is a mapping."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from refunds_checks.registry import Check, Severity
from refunds_checks.registry import Source as CheckSource
from refunds_checks.statements import COUNT_COLUMN
from refunds_checks.validation import Answer, CheckBroken
from refunds_lake.publishing.manifests import Manifest, Month, RunKind, manifest_key
from refunds_lake.storage.objects import ObjectMissing, PreconditionFailed, StoredObject
from refunds_statements.issuing import Request, issue
from refunds_statements.page_facts import GROUPS_SQL
from refunds_statements.snapshot import TABLE, Source
from refunds_statements.statement import Statement

NOW = datetime(2026, 12, 5, 6, tzinfo=UTC)
CHECKS = (
    Check("twice", "no id is there twice", CheckSource.SQL, Severity.ERROR, 0, "rows", True, "twice", "select 'twice'"),
)
Refund = tuple[str, str, Decimal]
"""Month, customer, amount."""


@dataclass
class MemoryStore:
    """A bucket in memory."""

    objects: dict[str, bytes] = field(default_factory=dict)

    def uri(self, key: str) -> str:
        return f"s3://base/{key}"

    def listing(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        for key in sorted(self.objects):
            if key.startswith(prefix) and key > after:
                yield StoredObject(key, "etag", NOW, len(self.objects[key]))

    def get(self, key: str) -> tuple[bytes, str]:
        if key not in self.objects:
            raise ObjectMissing(key)
        return self.objects[key], hashlib.md5(self.objects[key]).hexdigest()

    def read_range(self, key: str, first: int, last: int) -> bytes:
        return self.get(key)[0][first : last + 1]

    def versions(self, prefix: str) -> list[StoredObject]:
        return [*self.listing(prefix)]

    def chunks(self, key: str, *, etag: str, version_id: str = "") -> Iterator[bytes]:
        yield self.get(key)[0]

    def put(self, key: str, body: bytes, *, only_if_absent: bool = False, only_if_etag: str | None = None) -> str:
        if only_if_absent and key in self.objects:
            raise PreconditionFailed(key)
        self.objects[key] = body
        return self.get(key)[1]

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)


@dataclass
class MonthEnd:
    """The live tables and what was issued of them. `found` are the rows of the blocking check, or why it is broken."""

    store: MemoryStore = field(default_factory=MemoryStore)
    refunds: dict[str, Refund] = field(default_factory=dict)
    locations: dict[str, str] = field(default_factory=dict)
    catalog: dict[str, str] = field(default_factory=dict)
    number: int = 0
    zone: str = "UTC"
    now: datetime = NOW
    found: int | str = 0
    reasons: list[tuple[str | None, ...]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)

    @property
    def source(self) -> Source:
        return Source(self.store, "base/", lambda table: self.catalog, self.query)

    def load(self, refunds: Mapping[str, Refund | None]) -> None:
        """Let a run publish refunds by id; None for one that no longer counts."""
        before = self.refunds
        self.refunds = {key: value for key, value in {**before, **refunds}.items() if value is not None}
        touched = {value[0] for key in refunds for value in (before.get(key), refunds[key]) if value is not None}
        self.number += 1
        there = {value[0] for value in self.refunds.values()}
        moved = {month: f"s3://base/run={self.number}/{month}/" for month in touched & there}
        self.locations = {m: at for m, at in {**self.locations, **moved}.items() if m in there}
        self.catalog = dict(self.locations)
        self.record()

    def record(self) -> None:
        """Write the manifest of the newest run."""
        manifest = Manifest(
            number=self.number,
            run_id=self.run_id(self.number),
            parent=self.run_id(self.number - 1) if self.number > 1 else None,
            job_run_id="jr_1",
            kind=RunKind.INCREMENT,
            started_at=NOW,
            finished_at=NOW,
            reporting_time_zone=self.zone,
            tables={TABLE: {month: Month(at, 1, None) for month, at in self.locations.items()}},
        )
        self.store.put(manifest_key("base/", self.number), manifest.as_json())

    def run_id(self, number: int) -> str:
        return f"20261101T{number:06}Z-00000000"

    def query(self, sql: str) -> Answer:
        """Answer the check, or the question for refund lines or for the reasons of changes."""
        if "'twice'" in sql:
            if isinstance(self.found, str):
                raise CheckBroken(self.found)
            return Answer(("id", COUNT_COLUMN), [("R1", str(self.found))] * min(self.found, 1))
        if sql == GROUPS_SQL:
            months = {month for month, _, _ in self.refunds.values()}
            amounts = {each: [amount for month, _, amount in self.refunds.values() if month == each] for each in months}
            rows = [(month, "counted", str(len(found)), str(sum(found))) for month, found in amounts.items()]
            return Answer(("month", "reason", "refunds", "amount"), rows)
        if "voiding" in sql:
            return Answer(("refund_id", "month", "customer_id", "reason", "void_id"), self.reasons)
        self.queries.append(sql)
        asked = re.findall(r"'(\d{4}-\d\d)'", sql)
        rows = [
            (month, customer, refund_id, str(amount))
            for refund_id, (month, customer, amount) in self.refunds.items()
            if month in asked
        ]
        return Answer(("month", "customer_id", "refund_id", "amount"), rows)

    def issue(self, month: str | None, override: str = "") -> Statement:
        request = Request("test", month, "release-1", "anna", override)
        return issue(self.source, request, CHECKS, clock=lambda: self.now, pause_seconds=0)

    def total(self, through: str) -> Decimal:
        """The total of all months up to one, by the tables as they are now."""
        return sum((amount for month, _, amount in self.refunds.values() if month <= through), Decimal(0))


def refund(month: str, customer: str, amount: str) -> Refund:
    return month, customer, Decimal(amount)
