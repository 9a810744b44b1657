"""What a run checks before it publishes: forced to disagree or not to add up, it publishes nothing and says why."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakehouse import NOW, Lakehouse, purchase, refund, void
from pyspark.sql import functions as F
from refunds_lake.changes import agreement, batch_changes
from refunds_lake.changes.batch_changes import Changes
from refunds_lake.publishing.manifests import RunKind
from refunds_lake.tables.lookup import Found
from refunds_lake.tables.month_search import Ids
from refunds_lake.tables.table_set import CheckFailed, TableSet
from repository import ROOT

REFUNDS_SQL = ROOT / "athena" / "refunds.sql"


def test_the_check_uses_the_definition_of_the_report() -> None:
    """The text that the job checks against is that of refunds.sql, but for the month of the refund."""
    lines = [line for line in REFUNDS_SQL.read_text().splitlines() if not line.startswith("--")]
    report = "\n".join(lines).partition("refunds as (")[0].strip().removesuffix(",")
    checked = agreement.DEFINITION.strip().rpartition(")")[0] + ")"
    for table in ("purchase", "void", "refund"):
        checked = checked.replace(f"{{{table}}} as {table}", table)
    assert checked.replace("kept_refund.amount,\n        kept_refund.month\n", "kept_refund.amount\n") == report


def published(lakehouse: Lakehouse) -> Any:
    """What readers see and what is on the record."""
    return copy.deepcopy(lakehouse.catalog.tables), [each.key for each in lakehouse.base.listing("base/_runs/")]


def refused(lakehouse: Lakehouse, says: str, kind: RunKind = RunKind.INCREMENT, **settings: Any) -> None:
    before = published(lakehouse)
    with pytest.raises(CheckFailed, match=says):
        lakehouse.run(kind, **settings)
    assert published(lakehouse) == before


def test_a_published_month_whose_files_are_gone_is_named(lakehouse: Lakehouse) -> None:
    """Given a month whose files somebody deleted, when a run needs it, then it publishes nothing and names the month."""
    lakehouse.deliver("a.json", [purchase("p1"), refund("r1", "p1")])
    lakehouse.run()
    gone = [each.key for each in lakehouse.base.listing("base/purchase/")]
    lakehouse.base.delete(gone)
    lakehouse.deliver("b.json", [refund("r2", "p1")], at=NOW + timedelta(seconds=9))
    refused(lakehouse, r"base/purchase/month=2026-09/.* is published, without files")
    lakehouse.run(RunKind.FULL_REFRESH)


def test_a_run_that_disagrees_or_does_not_add_up_publishes_nothing(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong between the records and refund_detail, finance never sees it, and the next sound run goes on."""
    same_month = refund("r2", "p1", timestamp="2026-09-30T10:00:00Z", amount="2.50")
    lakehouse.deliver("a.json", [purchase("p1"), refund("r1", "p1"), same_month, refund("r3", "p1")])
    details, write_months = batch_changes.details, TableSet.write_months

    with monkeypatch.context() as fault:
        fault.setattr(batch_changes, "details", lambda *tables: details(*tables).withColumn("counted", F.lit(True)))
        refused(lakehouse, r"disagrees .* 2026-09 customer c1: \+2.50 in \+1 refunds")
    lakehouse.run()

    lakehouse.deliver("b.json", [void("v1", "r1"), refund("r4", "p1"), purchase("p1")], at=NOW + timedelta(seconds=9))
    with monkeypatch.context() as fault:
        fault.setattr(Changes, "count", lambda *_: 0)
        refused(lakehouse, r"does not add up, .*'read': 3, 'kept': 2, 'duplicate': 0, 'superseded': 0, 'rejected': 0")
    with monkeypatch.context() as fault:
        known = Changes._known.func
        fault.setattr(Changes, "_known", property(lambda changes: {**known(changes), "refund": Found(Ids(), None)}))
        refused(lakehouse, r"disagrees .* 2026-10 customer c1: \+10.00 in \+1 refunds")

    def confused(tables: TableSet, table: str, months: Any, pieces: Any, writer: Any, run_id: str) -> None:
        write_months(tables, table, months, pieces, writer, run_id)
        written = lakehouse.base.root.glob(f"base/refund_detail/month=*/run={run_id}/*.parquet")
        for path in written if table == "refund_detail" else ():
            rows = pq.read_table(path).to_pylist()
            less = [{**row, "amount": row["amount"] - (row["refund_id"] == "r3")} for row in rows]
            pq.write_table(pa.Table.from_pylist(less, pq.read_schema(path)), path)

    with monkeypatch.context() as fault:
        fault.setattr(TableSet, "write_months", confused)
        refused(lakehouse, r"disagrees .* 2026-10 customer c1: -1.00 in \+0 refunds")
        refused(
            lakehouse,
            r"disagrees .* 2026-10 customer c1: -1.00 in \+0 refunds",
            RunKind.BACKFILL,
            months=("2026-10", "2026-10"),
        )
    lakehouse.run()
    reasons = {row["refund_id"]: row["reason"] for row in lakehouse.rows("refund_detail")}
    assert reasons == {"r1": "voided_refund", "r2": "same_month", "r3": None, "r4": None}
