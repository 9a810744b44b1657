"""Makes sample transactions with the known answer: purchases with the refunds and voids that follow them.

A family (one purchase and what follows) is invented at once, so its answer is known at once, by bookkeeping that
shares nothing with the SQL or the job. How records are written to files is the business of sample_files.py.
"""

from __future__ import annotations

import bisect
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from deployer.errors import UsageError
from deployer.lake.refund_report import checked_month

DEFAULT_END = "2026-10"  # fixed: the same command makes the same files whenever it is run
DAY = 86_400
CUSTOMER_SHARE = 50  # transactions for each customer, roughly
MERCHANTS = 200


@dataclass(frozen=True)
class Record:
    """One transaction; moment is in seconds since 1970 (UTC), cents is the amount."""

    type: str
    id: str
    moment: int
    cents: int
    customer_id: str = ""
    merchant_id: str = ""
    parent_id: str = ""


@dataclass(frozen=True)
class Sent:
    """A record on its way: the month in whose file it comes, and whether it is a later version of an earlier one."""

    record: Record
    month_index: int
    is_update: bool = False


@dataclass
class Answer:
    """What must come out: counts of records, and cents per customer for all time and per month."""

    counts: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    monthly: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


class Calendar:
    """The months of a sample, in UTC."""

    def __init__(self, end: str, count: int) -> None:
        year, month = int(checked_month(end)[:4]), int(end[5:])
        last = year * 12 + month - 1
        if count < 1 or last - count + 1 < 2000 * 12:
            raise UsageError(f"{count} months up to {end} do not fit", hint="use 1 month or more, from 2000-01 on")
        self.names = [f"{index // 12:04}-{index % 12 + 1:02}" for index in range(last - count + 1, last + 1)]
        firsts = [(index // 12, index % 12 + 1) for index in range(last - count + 1, last + 2)]
        self.starts = [int(datetime(year, month, 1, tzinfo=UTC).timestamp()) for year, month in firsts]

    @property
    def first(self) -> int:
        """The first moment."""
        return self.starts[0]

    @property
    def end(self) -> int:
        """The first moment behind the last month."""
        return self.starts[-1]

    def index(self, moment: int) -> int:
        """Return the month of a moment."""
        return bisect.bisect_right(self.starts, moment) - 1

    def name(self, moment: int) -> str:
        """Return the month of a moment as YYYY-MM."""
        return self.names[self.index(moment)]


class Sample:
    """A sample of exactly so many transactions: iterate over what is sent, then read the answer."""

    def __init__(self, *, transactions: int, months: int, seed: int, end: str = DEFAULT_END) -> None:
        if transactions < 1:
            raise UsageError("a sample has at least one transaction", hint="--transactions 1000")
        self.transactions, self.seed = transactions, seed
        self.calendar = Calendar(end, months)
        self.answer = Answer()
        self._random = random.Random(seed)
        self._customers = max(10, transactions // CUSTOMER_SHARE)
        self._made = 0
        self._last_id = seed

    def sent(self) -> Iterator[Sent]:
        """Yield every valid record in roughly the order of time: originals, duplicates and later versions."""
        while self._made < self.transactions:
            family = self._family()[: self.transactions - self._made]
            self._made += len(family)
            self._book(family)
            for record in family:
                yield from self._deliveries(record)

    def _family(self) -> list[Record]:
        """Invent a purchase and what follows it; now and then only what follows, an orphan."""
        chance = self._random
        purchase = self._purchase()
        family = [purchase, *self._refunds_of(purchase)] if chance.random() < 0.3 else [purchase]
        for refund in family[1:]:
            if chance.random() < 0.06:
                family += self._voids_of(refund)
        if chance.random() < 0.05:
            family += self._voids_of(purchase)
        if chance.random() < 0.004:
            return family[1:] or [self._child("void", purchase, self._later(purchase.moment, 5))]
        return family

    def _purchase(self) -> Record:
        chance, calendar = self._random, self.calendar
        span = calendar.end - calendar.first
        progress = self._made / self.transactions
        moment = calendar.first + int(span * progress + chance.random() * 2 * DAY)
        customer = int(chance.random() ** 2 * self._customers)
        return Record(
            type="purchase",
            id=self._new_id(),
            moment=min(moment, calendar.end - 1),
            cents=100 + int(chance.expovariate(1 / 6000)),
            customer_id=f"C{customer:06}",
            merchant_id=f"M{int(chance.random() * MERCHANTS):04}",
        )

    def _refunds_of(self, purchase: Record) -> list[Record]:
        """Return one refund or several partial ones, most within weeks, a few in the same month of the next year."""
        chance = self._random
        parts = chance.choices((1, 2, 3), (80, 15, 5))[0]
        refunds = []
        for _ in range(parts):
            moment = self._later(purchase.moment, 20)
            if chance.random() < 0.03:
                moment = self._a_year_later(purchase.moment)
            if moment < self.calendar.end:
                cents = purchase.cents if parts == 1 and chance.random() < 0.7 else 1 + purchase.cents // (parts + 1)
                refunds.append(replace(self._child("refund", purchase, moment), cents=cents))
        return refunds

    def _voids_of(self, parent: Record) -> list[Record]:
        """Return one void, occasionally two or three of the same transaction."""
        count = self._random.choices((1, 2, 3), (85, 12, 3))[0]
        moments = [self._later(parent.moment, 6) for _ in range(count)]
        return [self._child("void", parent, moment) for moment in moments if moment < self.calendar.end]

    def _child(self, kind: str, parent: Record, moment: int) -> Record:
        moment = min(moment, self.calendar.end - 1)
        return Record(kind, self._new_id(), moment, parent.cents, parent_id=parent.id)

    def _later(self, moment: int, mean_days: int) -> int:
        return moment + 60 + int(self._random.expovariate(1 / (mean_days * DAY)))

    def _a_year_later(self, moment: int) -> int:
        index = self.calendar.index(moment) + 12
        if index >= len(self.calendar.names):
            return self.calendar.end
        start, end = self.calendar.starts[index], self.calendar.starts[index + 1]
        return start + int(self._random.random() * (end - start))

    def _new_id(self) -> str:
        """Return an id that looks random and never repeats: multiplying by an odd number is a permutation."""
        self._last_id += 1
        return f"{self._last_id * 0x9E3779B97F4A7C15 % 2**64:016x}"

    def _book(self, family: list[Record]) -> None:
        """Enter what the family adds to the answer."""
        answer = self.answer
        answer.rows.update(record.type for record in family)
        voided = {record.parent_id for record in family if record.type == "void"}
        purchase = next((record for record in family if record.type == "purchase"), None)
        for record in family:
            if record.type != "refund":
                continue
            reason = self._left_out(record, purchase, voided)
            if reason or purchase is None:
                answer.left_out[reason] += 1
                continue
            answer.total[purchase.customer_id] += record.cents
            answer.monthly[self.calendar.name(record.moment)][purchase.customer_id] += record.cents

    def _left_out(self, refund: Record, purchase: Record | None, voided: set[str]) -> str:
        if purchase is None:
            return "orphan"
        if purchase.id in voided:
            return "voided_purchase"
        if refund.id in voided:
            return "voided_refund"
        return "same_month" if self.calendar.name(refund.moment) == self.calendar.name(purchase.moment) else ""

    def _deliveries(self, record: Record) -> Iterator[Sent]:
        """Send a record: most once in its month, some late, some twice, some first in an older version."""
        chance, counts = self._random, self.answer.counts
        month = self._arrival(record.moment)
        counts["kept"] += 1
        what = chance.random()
        if what < 0.006:
            older = self._older(record)
            yield Sent(older, self._arrival(older.moment))
            yield Sent(record, len(self.calendar.names) - 1, is_update=True)
            counts["superseded"] += 1
            return
        yield Sent(record, month)
        if what > 0.99:
            yield Sent(record, min(month + chance.choice((0, 0, 1)), len(self.calendar.names) - 1))
            counts["duplicate"] += 1

    def _arrival(self, moment: int) -> int:
        late = self._random.choices((0, 1, 2), (97, 2, 1))[0]
        return min(self.calendar.index(moment) + late, len(self.calendar.names) - 1)

    def _older(self, record: Record) -> Record:
        """Return an earlier version that differs in the amount, the moment (often another month) or the customer."""
        chance = self._random
        what = chance.random()
        if what < 0.4:
            shift = chance.choice((-1, 1)) * int((5 + chance.random() * 40) * DAY)
            moment = min(max(record.moment + shift, self.calendar.first), self.calendar.end - 1)
            if moment != record.moment:
                return replace(record, moment=moment)
        if what > 0.8 and record.type == "purchase":
            return replace(record, customer_id=f"C{self._customers + int(chance.random() * 100):06}")
        return replace(record, cents=record.cents + 1 + int(chance.random() * 5000))
