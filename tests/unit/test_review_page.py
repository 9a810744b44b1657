"""The page for the approver."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from deployments import World, passing

from deployer.ledger import Ledger
from deployer.release_diff import ChangedFile, FileChange
from deployer.review_page import Numbers, Review, review_page


def page_of(world: World) -> Review:
    world.smoke = passing
    world.deploy()
    current = Ledger(world.store, "uat").current()
    assert current is not None
    return Review("uat", "prod", current, None, (), (), False, world.plan(), (), Numbers({}, {}))


def test_differences_per_customer_are_listed_and_totalled(tmp_path: Path) -> None:
    """Given two reports, then only customers that differ are listed, one that is missing counts as 0.00, and all are totalled."""
    numbers = Numbers(
        {"ann": Decimal("10.00"), "bob": Decimal("5.00"), "cy|d": Decimal("1.00")},
        {"ann": Decimal("10.00"), "bob": Decimal("4.50"), "eve": Decimal("2.00")},
    )
    text = review_page(replace(page_of(World(tmp_path)), numbers=numbers))
    assert "ann" not in text
    assert "| bob | 5.00 | 4.50 | -0.50 |" in text
    assert "| cy\\|d | 1.00 | 0.00 | -1.00 |" in text
    assert "| eve | 0.00 | 2.00 | +2.00 |" in text
    assert "| **3 customers** | 6.00 | 6.50 | +0.50 |" in text


def test_reasons_against_a_promotion_come_first(tmp_path: Path) -> None:
    text = review_page(replace(page_of(World(tmp_path)), refusals=("it is old",)))
    assert text.index("It cannot be promoted") < text.index("## Smoke test")


def test_a_long_diff_is_cut_and_says_so(tmp_path: Path) -> None:
    file = ChangedFile("a.py", FileChange.CHANGED, tuple(f"+{n}" for n in range(1000)))
    assert "... 600 more lines" in review_page(replace(page_of(World(tmp_path)), files=(file,)))
