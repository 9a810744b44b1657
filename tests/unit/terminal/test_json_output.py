"""docs/json-output.md is the contract of --output json: it is made from the results of the commands, and says all of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from pathlib import Path

import json_reference as reference
import pytest
from deployments import World, passing

from deployer.commands import report
from deployer.documents import as_document
from deployer.ledger.ledger import Ledger
from deployer.refunds import RefundRow


def test_the_page_is_what_the_code_says() -> None:
    """Given the page, when it is made anew, then it is the same: names, forms and meanings are those of the code."""
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "python docs/json_reference.py"


def test_every_command_has_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the commands that are there, then each has a section, and no other has; without one no page is made."""
    assert sorted(reference.titles_in_order()) == sorted(reference.RESULTS)
    monkeypatch.delitem(reference.RESULTS, "data sweep")
    with pytest.raises(LookupError, match="dataops data sweep"):
        reference.page()


# How a page is made.


class Colour(Enum):
    RED = "red"
    DEEP_BLUE = "deep blue"


@dataclass(frozen=True)
class Leaf:
    colour: Colour  #: its colour


@dataclass(frozen=True)
class Leaves:
    """What hangs on a tree. Some fall."""

    #: those that hang, in the order in which
    #: they grew
    hanging: tuple[Leaf, ...]
    fallen: Mapping[str, Leaf] = field(default_factory=dict)  #: by the day
    seen_by: str = field(default="", compare=False)


@dataclass(frozen=True)
class Tree(Leaves):
    """A tree."""

    rows: tuple[RefundRow, ...] = ()  #: what it cost
    height: float | None = None  #: in metres


def test_a_field_has_its_form_and_its_meaning() -> None:
    """Given a result, then each field is said with its comment, behind it or above it, and those of its objects below it."""
    places = reference.places_of({"tree grow": Tree, "leaves": Leaves})
    assert reference.section("tree grow", Tree, places).splitlines() == [
        "### tree grow",
        "A tree.",
        "",
        "| field | form | meaning |",
        "|---|---|---|",
        "| `hanging` | list of [leaf](#leaf) | those that hang, in the order in which they grew |",
        "| `fallen` | object of [leaf](#leaf) | by the day |",
        "| `rows` | list of object | what it cost |",
        "| `rows[].customer_id` | text | the customer |",
        "| `rows[].total_refund` | amount | the customer's total refund |",
        "| `height` | number or null | in metres |",
    ]
    assert "What hangs on a tree.\nSome fall.\n" in reference.section("leaves", Leaves, places)
    assert "| `colour` | text | its colour: `red` or `deep blue` |" in reference.section("leaf", Leaf, places)


def test_a_result_of_two_commands_is_described_once() -> None:
    """Given two commands with the same result, then the second one's section is a link to the first one's."""
    places = reference.places_of({"tree grow": Tree, "tree fell": Tree})
    assert reference.section("tree fell", Tree, places) == "### tree fell\nThe same as [tree grow](#tree-grow).\n"


def test_a_field_without_a_meaning_is_named() -> None:
    """Given a field without a comment, when the page is made, then that fails and names the field."""

    @dataclass(frozen=True)
    class Bare:
        said: str  #: this one is
        unsaid: str

    with pytest.raises(LookupError, match="Bare: unsaid has no meaning"):
        reference.fields_of(Bare)


# What is printed.


def test_a_deployment_prints_what_the_page_describes(tmp_path: Path) -> None:
    """Given a deployment, when its values become JSON, then they have the fields that are described, in that order."""
    world = World(tmp_path)
    world.smoke = passing
    plan, result = world.plan(), world.deploy()
    current = Ledger(world.store, "uat").current()
    assert current is not None and current.smoke is not None
    change = plan.steps[0].changes[0]
    values = [plan, plan.steps[0], change, result, result.stacks[0], current, current.stacks["base"], current.smoke]
    for value in values:
        assert [each.name for each in reference.fields_of(type(value))] == list(as_document(value)), type(value)


def test_a_result_becomes_its_fields() -> None:
    """Given a result with amounts, moments, places and nothing, when it becomes JSON, then each has its form."""
    result = report.ReportResult("uat", None, (RefundRow("ann", Decimal("1.5")),), 1, Decimal("1.5"), 10)
    assert as_document(result) == {
        "env": "uat",
        "month": None,
        "rows": [{"customer_id": "ann", "total_refund": "1.50"}],
        "customers": 1,
        "total_refund": "1.50",
        "bytes_scanned": 10,
    }
    assert as_document((Path("a"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC))) == ["a", "2026-01-01T00:00:00+00:00"]
    assert as_document(Leaves((Leaf(Colour.RED),), seen_by="ann")) == {"hanging": [{"colour": "red"}], "fallen": {}}
    with pytest.raises(TypeError):
        as_document(object())
