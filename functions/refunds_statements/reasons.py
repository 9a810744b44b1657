"""Why changed refunds count, or no longer count: the current state of each in the tables, and the voids that name it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from refunds_checks.validation import Query

from refunds_statements.lines import Line

_IDS_IN_A_QUERY: Final = 400
"""Each id occurs twice in a query, which has at most 262,144 bytes: https://docs.aws.amazon.com/athena/latest/ug/service-limits.html"""
REASONS_SQL: Final = """with
changed as (
    select
        refund.id,
        refund.parent_id
    from refund
    where refund.id in ({ids})
),

voiding as (
    select
        changed.id,
        void.id as void_id
    from changed
    inner join void on changed.id = void.parent_id
    union all
    select
        changed.id,
        void.id as void_id
    from changed
    inner join void on changed.parent_id = void.parent_id
)

select
    refund_detail.refund_id,
    refund_detail.month,
    refund_detail.customer_id,
    coalesce(refund_detail.reason, 'counted') as reason,
    voiding.void_id
from refund_detail
left join voiding on refund_detail.refund_id = voiding.id
where refund_detail.refund_id in ({ids})"""


@dataclass(frozen=True)
class Reason:
    """What is true of a changed refund now.

    `says` is `counted`, the reason why it is left out, `other_month` or `other_customer` if it counts elsewhere, or
    `gone` if the tables no longer have it.
    """

    says: str
    voids: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Refund:
    month: str
    customer_id: str | None
    reason: str


def reasons_of(lines: Sequence[Line], query: Query) -> tuple[Reason, ...]:
    """Return the reason of each line."""
    refunds: dict[str, _Refund] = {}
    voids: dict[str, set[str]] = defaultdict(set)
    for sql in _queries(sorted({line.refund_id for line in lines})):
        for refund_id, month, customer_id, reason, void_id in query(sql).rows:
            refunds[str(refund_id)] = _Refund(str(month), customer_id, str(reason))
            if void_id is not None:
                voids[str(refund_id)].add(void_id)
    return tuple(_reason(line, refunds.get(line.refund_id), voids[line.refund_id]) for line in lines)


def _queries(ids: Sequence[str]) -> Iterable[str]:
    for first in range(0, len(ids), _IDS_IN_A_QUERY):
        literals = ("'" + each.replace("'", "''") + "'" for each in ids[first : first + _IDS_IN_A_QUERY])
        yield REASONS_SQL.format(ids=", ".join(literals))


def _reason(line: Line, refund: _Refund | None, voids: set[str]) -> Reason:
    if refund is None:
        return Reason("gone")
    if refund.month != line.month:
        return Reason("other_month")
    if refund.reason == "counted" and refund.customer_id != line.customer_id:
        return Reason("other_customer")
    return Reason(refund.reason, tuple(sorted(voids)))
