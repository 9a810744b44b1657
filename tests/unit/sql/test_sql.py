"""The refund SQL against a table of cases, an oracle in plain Python, the reference query, and its own mutations."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from nightly import examples
from sql_harness import (
    MONTHLY_REFUNDS,
    REFERENCE,
    REFUNDS,
    ROOT,
    Lake,
    Transaction,
    check_sql,
    purchase,
    refund,
    refunds,
    void,
)
from sqlglot import exp

# Each case has its own customer; expected is the customer's total, None for a customer who is not in the report.
CASES: list[tuple[str, str | None, Sequence[Transaction]]] = [
    ("a refund in a later month counts", "10.00", [purchase("P", "2025-01-10", "c"), refund("R", "2025-02-01", "P")]),
    ("a refund in the same month does not", None, [purchase("P", "2025-01-10", "c"), refund("R", "2025-01-31", "P")]),
    (
        "the same month one year later counts",
        "10.00",
        [purchase("P", "2024-01-10", "c"), refund("R", "2025-01-10", "P")],
    ),
    (
        "a refund dated the month before counts",
        "10.00",
        [purchase("P", "2025-02-10", "c"), refund("R", "2025-01-10", "P")],
    ),
    ("a purchase without a refund has no row", None, [purchase("P", "2025-01-10", "c")]),
    (
        "partial refunds add up",
        "30.05",
        [
            purchase("P", "2025-01-10", "c"),
            refund("R1", "2025-02-01", "P", "10.00"),
            refund("R2", "2025-03-01", "P", "20.05"),
        ],
    ),
    (
        "equal refunds are not taken for one",
        "20.00",
        [purchase("P", "2025-01-10", "c"), refund("R1", "2025-02-01", "P"), refund("R2", "2025-02-01", "P")],
    ),
    (
        "refunds of several purchases add up",
        "20.00",
        [
            purchase("P1", "2025-01-10", "c"),
            purchase("P2", "2025-01-11", "c"),
            refund("R1", "2025-02-01", "P1"),
            refund("R2", "2025-02-01", "P2"),
        ],
    ),
    (
        "a voided purchase takes its refunds along",
        None,
        [
            purchase("P", "2025-01-10", "c"),
            refund("R1", "2025-02-01", "P"),
            refund("R2", "2025-03-01", "P"),
            void("V", "P"),
        ],
    ),
    (
        "several voids of one purchase do no harm to another",
        "10.00",
        [
            purchase("P1", "2025-01-10", "c"),
            purchase("P2", "2025-01-10", "c"),
            refund("R1", "2025-02-01", "P1"),
            refund("R2", "2025-02-01", "P2"),
            void("V1", "P1"),
            void("V2", "P1"),
        ],
    ),
    (
        "a voided refund does not count, its sister does",
        "7.00",
        [
            purchase("P", "2025-01-10", "c"),
            refund("R1", "2025-02-01", "P"),
            refund("R2", "2025-02-01", "P", "7.00"),
            void("V1", "R1"),
            void("V2", "R1"),
        ],
    ),
    (
        "a void of a void changes nothing: the first void stays",
        None,
        [purchase("P", "2025-01-10", "c"), refund("R", "2025-02-01", "P"), void("V1", "P"), void("V2", "V1")],
    ),
    (
        "a void in the month of the purchase removes a refund of later",
        None,
        [purchase("P", "2025-01-10", "c"), refund("R", "2025-02-01", "P"), void("V", "P", "2025-01-11")],
    ),
    ("an orphan refund belongs to nobody", None, [refund("R", "2025-02-01", "nowhere")]),
    (
        "an orphan void removes nothing",
        "10.00",
        [purchase("P", "2025-01-10", "c"), refund("R", "2025-02-01", "P"), void("V", "nowhere")],
    ),
    (
        "more may be refunded than was paid",
        "500.00",
        [purchase("P", "2025-01-10", "c"), refund("R", "2025-02-01", "P", "500.00")],
    ),
    (
        "the sum may be larger than any amount",
        "19999999999999999.98",
        [
            purchase("P", "2025-01-10", "c"),
            refund("R1", "2025-02-01", "P", "9999999999999999.99"),
            refund("R2", "2025-02-02", "P", "9999999999999999.99"),
        ],
    ),
]


def apart(number: int, each: Transaction) -> Transaction:
    """Give a case's transaction ids and a customer of its own, so that all cases share one set of tables."""
    parent = f"{number:02}-{each.parent_id}" if each.parent_id else ""
    customer = f"{number:02}-{each.customer_id}" if each.customer_id else ""
    return Transaction(
        each.type, f"{number:02}-{each.id}", each.timestamp, each.amount, customer, each.merchant_id, parent
    )


ALL_CASES = [apart(number, each) for number, (_, _, case) in enumerate(CASES) for each in case]
EXPECTED = [(f"{number:02}-c", Decimal(total)) for number, (_, total, _) in enumerate(CASES) if total is not None]
MONTHS = sorted({each.timestamp.strftime("%Y-%m") for each in ALL_CASES if each.type == "refund"})


def monthly_total(lake: Lake, months: Sequence[str], sql: str = MONTHLY_REFUNDS) -> list[tuple[str, Decimal]]:
    """Add the monthly reports up."""
    total: dict[str, Decimal] = {}
    for month in months:
        for customer, amount in lake.query(sql, [month]):
            total[customer] = total.get(customer, Decimal()) + amount
    return sorted(total.items())


def test_every_case() -> None:
    """Given one set of tables with all cases, when refunds.sql runs, then each customer's total is the case's."""
    assert Lake(ALL_CASES).query(REFUNDS) == EXPECTED


def test_the_months_add_up_to_all_time() -> None:
    """Given all cases, when monthly_refunds.sql runs for each month, then the months add up to all time."""
    assert monthly_total(Lake(ALL_CASES), MONTHS) == EXPECTED


@pytest.mark.parametrize("sql", [REFUNDS, MONTHLY_REFUNDS], ids=["refunds", "monthly_refunds"])
def test_empty_tables_give_an_empty_report(sql: str) -> None:
    """Given tables without rows, when a report runs, then it has no rows."""
    assert Lake().query(sql, ["2025-01"] if sql is MONTHLY_REFUNDS else []) == []


@pytest.mark.parametrize("name", ["refunds.sql", "monthly_refunds.sql"])
def test_a_report_fits_a_parameter(name: str) -> None:
    """Given a report's SQL, when it is fed to the template as a parameter, then it fits 4,096 characters."""
    assert len((ROOT / "athena" / name).read_text(encoding="utf-8")) <= 4096


# Few ids and few days, so that parents meet children, months meet, and voids name purchases, refunds and each other.
DAYS = st.sampled_from(["2024-01-31", "2024-02-01", "2024-12-31", "2025-01-01", "2025-01-31", "2025-02-28"])
AMOUNTS = st.sampled_from(["0.01", "0.10", "3.33", "99.99", "9999999999999999.99"])
PURCHASES = st.builds(purchase, st.sampled_from(["P1", "P2", "P3"]), DAYS, st.sampled_from(["a", "B", "é"]), AMOUNTS)
REFUND_IDS = ["R1", "R2", "R3", "R4"]
REFUND_ROWS = st.builds(refund, st.sampled_from(REFUND_IDS), DAYS, st.sampled_from(["P1", "P2", "P3", "P4"]), AMOUNTS)
VOIDS = st.builds(
    void, st.sampled_from(["V1", "V2", "V3"]), st.sampled_from(["P1", "P2", *REFUND_IDS, "V1", "X"]), DAYS
)


def rows_of(row: st.SearchStrategy[Transaction], most: int) -> st.SearchStrategy[list[Transaction]]:
    """Rows of one table: an id lives once."""
    return st.lists(row, max_size=most, unique_by=lambda each: each.id)


TABLES = st.tuples(rows_of(PURCHASES, 3), rows_of(REFUND_ROWS, 4), rows_of(VOIDS, 3)).map(
    lambda tables: [each for table in tables for each in table]
)


@settings(max_examples=examples(150), deadline=None)
@given(TABLES)
def test_agrees_with_the_oracle(transactions: list[Transaction]) -> None:
    """Given any tables, when both reports run, then they say what plain Python says, for all time and per month."""
    total, monthly = refunds(transactions)
    lake = Lake(transactions)
    assert lake.query(REFUNDS) == sorted(total.items())
    months = {each.timestamp.strftime("%Y-%m") for each in transactions}
    for month in months:
        assert lake.query(MONTHLY_REFUNDS, [month]) == sorted(monthly.get(month, {}).items())
    assert lake.query(check_sql("refund_detail_disagreements")) == []


@settings(max_examples=examples(100), deadline=None)
@given(TABLES)
def test_agrees_with_the_reference_query(transactions: list[Transaction]) -> None:
    """Given tables in which no refund is voided, when the reference query runs, then refunds.sql agrees with it."""
    lake = Lake([each for each in transactions if not (each.type == "void" and each.parent_id in REFUND_IDS)])
    assert lake.query(REFUNDS) == sorted(lake.query(REFERENCE))


def mutations(sql: str) -> dict[str, str]:
    """Return the SQL with one thing taken away, for each thing that it says.

    A where or on loses one condition, a left join becomes an inner one, != becomes =, < or >, a sum takes one of its
    amounts or each amount once, a step reads its source as it is, the order goes.
    The inner join is left alone: as a left join it says the same, the month condition drops what found no purchase.
    """
    tree = sqlglot.parse_one(sql, read="athena")
    changed: dict[str, str] = {}

    def change(name: str, edit: str, replacement: exp.Expression | None, path: int) -> None:
        copy = tree.copy()
        node = list(copy.walk())[path]
        if edit == "replace" and replacement is not None:
            node.replace(replacement)
        else:
            node.pop()
        changed[f"{name}: {tree_nodes[path].sql('athena')}"] = copy.sql("athena")

    tree_nodes = list(tree.walk())
    for path, node in enumerate(tree_nodes):
        clause = node.find_ancestor(exp.Where, exp.Join)
        if isinstance(node, (exp.EQ, exp.NEQ, exp.Is)) and clause is not None:
            change("without the condition", "replace", exp.true(), path)
        if isinstance(node, exp.Column) and node.name == "counted":
            change("without the condition", "replace", exp.true(), path)
        if isinstance(node, exp.NEQ):
            change("equal instead", "replace", exp.EQ(this=node.this.copy(), expression=node.expression.copy()), path)
            change("earlier instead", "replace", exp.LT(this=node.this.copy(), expression=node.expression.copy()), path)
            change("later instead", "replace", exp.GT(this=node.this.copy(), expression=node.expression.copy()), path)
        if isinstance(node, exp.Join) and node.side == "LEFT":
            other = node.copy()
            other.set("side", None)
            change("inner instead of left", "replace", other, path)
        if isinstance(node, exp.Sum):
            change("one refund instead of all", "replace", exp.Max(this=node.this.copy()), path)
            change(
                "equal amounts once",
                "replace",
                exp.Sum(this=exp.Distinct(expressions=[node.this.copy()])),
                path,
            )
        if isinstance(node, exp.Order):
            change("without the order", "pop", None, path)
        if isinstance(node, exp.Table) and node.name.startswith("kept_"):
            change("without the step", "replace", exp.to_table(node.name.removeprefix("kept_")).as_(node.name), path)
    return changed


SHUFFLED = list(reversed(ALL_CASES))


@pytest.mark.parametrize("mutation", mutations(REFUNDS).items(), ids=lambda mutation: mutation[0])
def test_each_part_of_refunds_matters(mutation: tuple[str, str]) -> None:
    """Given refunds.sql with one part taken away, when it runs on all cases, then the answer is wrong."""
    assert Lake(SHUFFLED).query(mutation[1]) != EXPECTED


@pytest.mark.parametrize("mutation", mutations(MONTHLY_REFUNDS).items(), ids=lambda mutation: mutation[0])
def test_each_part_of_monthly_refunds_matters(mutation: tuple[str, str]) -> None:
    """Given monthly_refunds.sql with one part taken away, when it runs for a month, then the answer is wrong."""
    lake = Lake(SHUFFLED)
    assert lake.query(MONTHLY_REFUNDS, ["2025-02"]) != lake.query(*without_parameter(mutation[1], "2025-02"))


def without_parameter(sql: str, month: str) -> tuple[str, list[str]]:
    """Return a mutated query with its parameters: none when its question mark went."""
    return sql, [month] if "?" in sql else []
