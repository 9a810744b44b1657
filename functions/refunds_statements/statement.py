"""The record of an issued statement, and its form in JSON. It is written once and never changed.

`register` knows where records and documents are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from refunds_lake.storage.objects import utc_moment, utc_text

FORMAT: Final = 1


class StatementDamaged(Exception):
    """A record or a document is not what was written; the message names it."""


@dataclass(frozen=True)
class Document:
    """One file of a statement in the base bucket."""

    key: str
    sha256: str


@dataclass(frozen=True)
class CheckFound:
    """What a blocking check found when the statement was issued."""

    name: str  #: its name
    verdict: str  #: what became of it, as in `dataops check`
    rows: int  #: how many rows broke its promise
    note: str = ""  #: why it was skipped or broken


@dataclass(frozen=True)
class Statement:
    """One issued statement."""

    number: int
    """1 for the first of an environment; each month has the next one."""
    month: str
    run: str
    """The run whose tables it was made of."""
    release: str
    issued_at: datetime
    issued_by: str
    customers: int
    total_refund: Decimal
    """Of the month alone."""
    adjustments_total: Decimal
    """The change in earlier months since the previous statement; for the first statement, all earlier months."""
    checks: tuple[CheckFound, ...] = ()
    override: str = ""
    """Why it was issued although a blocking check had rows; empty if none had."""
    locations: Mapping[str, str] = field(default_factory=dict)
    """Month -> location of refund_detail. A month that still has it has not changed."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Month -> how many lines the statement has of it; those of other months than its own are adjustments."""
    documents: Mapping[str, Document] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the record as JSON values, with amounts as text with two decimals."""
        return {
            "format": FORMAT,
            **asdict(self),
            "issued_at": utc_text(self.issued_at),
            "total_refund": f"{self.total_refund:.2f}",
            "adjustments_total": f"{self.adjustments_total:.2f}",
        }


def parse_statement(body: bytes, key: str) -> Statement:
    """Parse the record of a statement. Raise StatementDamaged with the key."""
    try:
        document = json.loads(body)
        if (found := document.pop("format")) != FORMAT:
            raise StatementDamaged(f"{key}: format {found} is not known to this version, which writes {FORMAT}")
        fields = {
            "issued_at": utc_moment(document["issued_at"]),
            "total_refund": Decimal(document["total_refund"]),
            "adjustments_total": Decimal(document["adjustments_total"]),
            "checks": tuple(CheckFound(**each) for each in document["checks"]),
            "documents": {name: Document(**each) for name, each in document["documents"].items()},
        }
        return Statement(**{**document, **fields})
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise StatementDamaged(f"{key}: not the record of a statement ({error!r})") from error
