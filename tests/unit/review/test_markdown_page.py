"""The page for the approver."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from deployments import World, passing

from deployer.commands.review import review_result
from deployer.documents import as_document
from deployer.lake.report_comparison import ReportComparison
from deployer.ledger.ledger import Ledger
from deployer.release.diff import ChangedFile, FileChange, changed_files
from deployer.review.markdown_page import Review, review_page
from deployer.review.month_rebuild import MonthRebuild


def page_of(world: World) -> Review:
    world.smoke = passing
    world.deploy()
    current = Ledger(world.store, "uat").current()
    assert current is not None
    return Review(
        "uat",
        "prod",
        current,
        None,
        (),
        (),
        False,
        world.plan(),
        (),
        ReportComparison({}, {}),
        MonthRebuild.absent("Not requested."),
    )


def test_differences_per_customer_are_listed_and_totalled(tmp_path: Path) -> None:
    """Given two reports, then only customers that differ are listed, one that is missing counts as 0.00, and all are totalled."""
    numbers = ReportComparison(
        {"ann": Decimal("10.00"), "bob": Decimal("5.00"), "cy|d": Decimal("1.00")},
        {"ann": Decimal("10.00"), "bob": Decimal("4.50"), "eve": Decimal("2.00")},
    )
    text = review_page(replace(page_of(World(tmp_path)), report=numbers))
    assert "ann" not in text
    assert "| bob | 5.00 | 4.50 | -0.50 |" in text
    assert "| cy\\|d | 1.00 | 0.00 | -1.00 |" in text
    assert "| eve | 0.00 | 2.00 | +2.00 |" in text
    assert "| **3 customers** | 6.00 | 6.50 | +0.50 |" in text


def test_one_customer_is_one_customer(tmp_path: Path) -> None:
    numbers = ReportComparison({"ann": Decimal("10.00")}, {"ann": Decimal("9.00")})
    assert "| **1 customer** | 10.00 | 9.00 | -1.00 |" in review_page(replace(page_of(World(tmp_path)), report=numbers))


def test_reasons_against_a_promotion_come_first(tmp_path: Path) -> None:
    text = review_page(replace(page_of(World(tmp_path)), refusals=("it is old",)))
    assert text.index("It cannot be promoted") < text.index("## Smoke test")


def test_a_long_diff_is_cut_and_says_so(tmp_path: Path) -> None:
    file = ChangedFile("a.py", FileChange.CHANGED, tuple(f"+{n}" for n in range(1000)))
    assert "... 600 more lines" in review_page(replace(page_of(World(tmp_path)), files=(file,)))


def test_a_month_of_both_jobs_is_listed_with_what_each_counted(tmp_path: Path) -> None:
    """Given two rebuilt months, then the page names the month, the customers that differ, and counts that differ."""
    numbers = ReportComparison({"ann": Decimal("1.00")}, {"ann": Decimal("3.00"), "bob": Decimal("2.00")})
    both = MonthRebuild(numbers, "2026-09", {"read": 5, "kept": 4}, {"read": 5, "kept": 5})
    review = replace(page_of(World(tmp_path)), rebuild=both)
    text = review_page(review)
    assert "These customers differ for 2026-09 after both jobs:" in text
    assert "| ann | 1.00 | 3.00 | +2.00 |" in text
    assert "| **2 customers** | 1.00 | 5.00 | +4.00 |" in text
    assert "| kept | 4 | 5 | +1 |" in text
    assert as_document(review_result(review))["rebuilt"]["differences"][1] == {
        "customer_id": "bob",
        "before": "0.00",
        "after": "2.00",
    }


def test_a_month_that_was_not_rebuilt_says_why(tmp_path: Path) -> None:
    text = review_page(replace(page_of(World(tmp_path)), rebuild=MonthRebuild.absent("The jobs are the same.")))
    assert "### One month rebuilt by both releases' jobs\n\nThe jobs are the same." in text


def test_many_differing_customers_are_summed_up(tmp_path: Path) -> None:
    """Given more differences than a page holds, then the rest is one row and the total is of all."""
    numbers = ReportComparison({}, {f"c{n:04}": Decimal("1.00") for n in range(600)})
    text = review_page(replace(page_of(World(tmp_path)), report=numbers))
    assert "| 100 more customers | 0.00 | 100.00 | +100.00 |" in text
    assert "| **600 customers** | 0.00 | 600.00 | +600.00 |" in text


def test_the_files_in_a_zip_are_compared_one_by_one() -> None:
    """Given a zipped library of which one file changed, then that file is listed with its lines, the zip without."""

    def zipped(**files: str) -> bytes:
        buffer = BytesIO()
        with ZipFile(buffer, "w") as archive:
            for name, text in files.items():
                archive.writestr(f"lib/{name}.py", text)
        return buffer.getvalue()

    contents = {"old": zipped(a="same", b="1\n"), "new": zipped(a="same", b="2\n")}
    before, after = ({"artifacts": {}, "files": {"glue/lib.zip": {"sha256": side}}} for side in contents)
    found = changed_files(before, after, lambda m, path: contents[m["files"][path]["sha256"]])
    assert [(file.path, bool(file.diff)) for file in found] == [("glue/lib.zip", False), ("glue/lib/b.py", True)]
    assert found[1].diff[-2:] == ("-1", "+2")
