"""The page for finance: every figure is the report's, everything from the data is escaped, and a browser shows it whole."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.lake.finance_facts import REASONS, month_groups, sums, trend
from deployer.lake.finance_page import (
    Adjustment,
    FinancePage,
    MonthTotal,
    Provenance,
    Quality,
    distribution,
    render_page,
)
from deployer.lake.refund_report import RefundReport
from deployer.refunds import RefundRow

CHROMIUM = shutil.which("chromium")
ROWS = (
    RefundRow("anna", Decimal("50.25")),
    RefundRow("ben <b>", Decimal("10000000000000000.00")),
    RefundRow("cara\u202e\n", Decimal("9.99")),
)
GROUPS = [
    ("2026-09", "counted", "2", "7.00"),
    ("2026-10", "counted", "5", "10000000000000060.24"),
    ("2026-10", "same_month", "3", "1.10"),
    ("2026-10", "orphan", "1", "0.90"),
]


def page_of(rows: tuple[RefundRow, ...] = ROWS, month: str | None = "2026-10") -> FinancePage:
    groups = month_groups(GROUPS)
    return FinancePage(
        report=RefundReport(month, rows),
        trend=trend(groups),
        groups=sums(each.group for each in groups if month in (None, each.month)),
        provenance=Provenance("uat", "20261101T000000Z-00000001", "138ad3093b6d", "yesterday", "today"),
    )


def text_of(page: str) -> str:
    """What a person reads: no tags, entities as letters."""
    return html.unescape(re.sub(r"<[^>]*>", " ", page))


def test_the_total_stands_in_the_text() -> None:
    """Given amounts beyond what a float holds, when the page is written, then total and change are right to the cent."""
    text = text_of(render_page(page_of()))
    assert "10,000,000,000,000,060.24" in text
    assert "+10,000,000,000,000,053.24 against 2026-09 (7.00)" in text


def test_what_counts_and_what_does_not_add_up_to_all_refunds() -> None:
    """Given refunds of a month by reason, when the page is written, then each reason stands there and the sum is all."""
    page = page_of()
    assert [each.reason for each in page.groups] == list(REASONS)
    assert (page.all_refunds.refunds, page.all_refunds.amount) == (9, Decimal("10000000000000062.24"))
    assert "10,000,000,000,000,062.24" in text_of(render_page(page))


def test_all_time_counts_every_month() -> None:
    """Given the report of all time, when groups are summed, then they hold every month and there is no month before."""
    page = page_of(month=None)
    assert page.groups[0].refunds == 7
    assert page.change is None


def test_nothing_from_the_data_is_markup() -> None:
    """Given customers that look like tags or turn the text, when the page is written, then they are shown as they are."""
    page = render_page(page_of())
    assert "<b>" not in page
    assert "ben &lt;b&gt;" in page
    assert "cara\\u202e\\n" in page


def test_the_page_needs_nothing_from_the_network() -> None:
    """Given any page, when its attributes are read, then none names an address."""
    page = render_page(page_of())
    assert not re.search(r"(src|href|url)\s*[=(]", page)
    assert "http" not in page


def test_a_page_for_ten_thousand_customers_is_small() -> None:
    """Given 10,000 customers, when the page is written, then it is smaller than 500 kB."""
    rows = tuple(RefundRow(f"C{number:06d}", Decimal(number * 7 + 1) / 100) for number in range(10_000))
    assert len(render_page(page_of(rows)).encode()) < 500_000


def test_without_statement_validation_or_month_before() -> None:
    """Given an empty lake, when the page is written, then nothing is said of what is not known."""
    page = FinancePage(RefundReport(None, ()), (), sums(()), Provenance("uat", "none", "not recorded", "never", "now"))
    text = text_of(render_page(page))
    assert "Adjustments" not in text
    assert "Data quality" not in text
    assert "0 customers" in text


@pytest.mark.parametrize(
    ("quality", "said"),
    [
        (Quality("2026-10-31", passed=True), "Every check of 2026-10-31 passed."),
        (Quality("2026-10-31", passed=False, failing=("orphans",)), "found something: orphans."),
    ],
)
def test_the_verdict_of_the_validation_is_said(quality: Quality, said: str) -> None:
    """Given the last validation, when the page is written, then it says whether it passed and what did not."""
    page = page_of()
    with_quality = FinancePage(page.report, page.trend, page.groups, page.provenance, (), quality)
    assert said in text_of(render_page(with_quality))
    assert "what was issued is unchanged" in text_of(render_page(with_quality))


def test_adjustments_are_listed() -> None:
    """Given changes of issued months, when the page is written, then each stands there with its sign."""
    page = page_of()
    adjusted = FinancePage(
        page.report, page.trend, page.groups, page.provenance, (Adjustment("2026-08", "anna", Decimal("-3.10")),)
    )
    assert "2026-08 anna -3.10" in " ".join(text_of(render_page(adjusted)).split())


@given(st.lists(st.decimals("0.01", "9999999.99", places=2), max_size=50))
def test_every_customer_is_in_one_band(amounts: list[Decimal]) -> None:
    """Given any totals, when they are distributed, then the bands hold each customer once."""
    rows = [RefundRow(str(number), amount) for number, amount in enumerate(amounts)]
    assert sum(band.customers for band in distribution(rows)) == len(rows)


def test_the_trend_holds_months_without_a_counted_refund() -> None:
    """Given a month of which no refund counts, when the trend is made, then it is there with nothing."""
    assert trend(month_groups([("2026-08", "orphan", "1", "5.00")])) == (MonthTotal("2026-08", Decimal("0.00")),)


PROBE = """
<iframe id="page" style="border:0;width:{width}px;height:3000px"></iframe><output id="said"></output>
<script>
const frame = document.getElementById("page");
frame.onload = () => {{
  const page = frame.contentDocument, found = {{}};
  found.scroll = page.documentElement.scrollWidth;
  found.total = page.getElementById("total").textContent;
  const first = () => page.querySelector("#customers tbody tr:not([hidden]) td").textContent.trim();
  const [, amount] = page.querySelectorAll("#customers th button");
  amount.click(); found.smallest = first();
  amount.click(); found.largest = first();
  const find = page.getElementById("find");
  find.value = "ANN"; find.dispatchEvent(new Event("input"));
  found.filtered = first(); found.shown = page.getElementById("found").textContent;
  document.getElementById("said").textContent = JSON.stringify(found);
}};
frame.srcdoc = {page};
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed: the page is not opened in a browser")
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_it_whole(tmp_path: Path, width: int) -> None:
    """Given a phone or a desktop, when the page is opened, then nothing is cut off, and it sorts and filters by the cent."""
    page = json.dumps(render_page(page_of())).replace("</", "<\\/")
    (tmp_path / "probe.html").write_text(PROBE.format(width=width, page=page), encoding="utf-8")
    command = [CHROMIUM or "", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000"]
    shown = subprocess.run(
        [*command, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"file://{tmp_path}/probe.html"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    said = re.search(r'<output id="said">(.*?)</output>', shown)
    assert said, shown[-500:]
    assert json.loads(html.unescape(said[1])) == {
        "scroll": width,
        "total": "10,000,000,000,000,060.24",
        "smallest": "cara\\u202e\\n",
        "largest": "ben <b>",
        "filtered": "anna",
        "shown": "1 of 3 customers",
    }
