"""The finance page: every figure is the report's, everything from the data is escaped, and a browser shows it whole."""

from __future__ import annotations

import ast
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from browser import AXE, dom_of, needs_axe, needs_browser, pdf_of
from hypothesis import given
from hypothesis import strategies as st
from month_end import MemoryStore
from refunds_statements.page import (
    REASONS,
    Adjustment,
    CustomerTotal,
    FinancePage,
    MonthTotal,
    Provenance,
    Quality,
    distribution,
)
from refunds_statements.page_facts import COUNTED, UnknownReason, last_validation, month_groups, sums, trend
from refunds_statements.page_html import MOST_ADJUSTMENTS, render_page
from repository import ROOT

ROWS = (
    ("anna", Decimal("50.25")),
    ("ben <b>", Decimal("10000000000000000.00")),
    ("cara\u202e\n", Decimal("9.99")),
)
GROUPS = [
    ("2026-09", "counted", "2", "7.00"),
    ("2026-10", "counted", "5", "10000000000000060.24"),
    ("2026-10", "same_month", "3", "1.10"),
    ("2026-10", "orphan", "1", "0.90"),
]


def page_of(rows: tuple[CustomerTotal, ...] = ROWS, month: str | None = "2026-10") -> FinancePage:
    groups = month_groups(GROUPS)
    return FinancePage(
        month=month,
        rows=rows,
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


def test_the_page_has_every_reason_of_the_job() -> None:
    """Given the reasons of refund_detail, when they are compared with the page's, then each is there, and counted is the other."""
    source = ast.parse((ROOT / "glue" / "refunds_lake" / "changes" / "refund_detail.py").read_text(encoding="utf-8"))
    given_by_the_job = {
        node.value.value
        for node in source.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant)
    }
    assert given_by_the_job == REASONS.keys() - {COUNTED}


def test_a_reason_that_has_no_line_is_refused() -> None:
    """Given refunds left out for a reason that the page does not know, when they are read, then it is named and not left away."""
    with pytest.raises(UnknownReason, match="does not know: chargeback"):
        month_groups([*GROUPS, ("2026-10", "chargeback", "1", "4.00")])


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
    rows = tuple((f"C{number:06d}", Decimal(number * 7 + 1) / 100) for number in range(10_000))
    assert len(render_page(page_of(rows)).encode()) < 500_000


def test_without_statement_validation_or_month_before() -> None:
    """Given a month without any refund, when the page is written, then nothing is said of what is not known."""
    page = FinancePage(None, (), (), sums(()), Provenance("uat", "run", "not recorded", "then", "now"))
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
    with_quality = replace(page_of(), adjustments=(), quality=quality)
    assert said in text_of(render_page(with_quality))
    assert "nothing that was issued has changed" in text_of(render_page(with_quality))


def test_a_statement_says_what_it_is_and_what_it_adjusts() -> None:
    """Given a statement, when its page is written, then title, adjustments with their sum, and the override stand there."""
    adjustments = tuple(
        Adjustment("2026-08", f"C{number:03}", Decimal("0.01")) for number in range(MOST_ADJUSTMENTS + 50)
    )
    page = replace(
        page_of(),
        is_statement=True,
        adjustments=adjustments,
        quality=Quality("2026-11-01", passed=False, failing=("duplicate_ids",), override="INC-7 <b>"),
    )
    text = " ".join(text_of(render_page(page)).split())
    assert "Statement of 2026-10 " in text and "Adjustments of earlier months: +2.50." in text
    assert "C199" in text and "C200" not in text and "50 more are not shown" in text and "All +2.50" in text
    assert "Checks of 2026-11-01 that found something: duplicate_ids. Issued despite this: INC-7 <b>" in text


def test_the_last_validation_is_read_from_its_report() -> None:
    """Given reports of several days, when the page is gathered, then the newest one's verdict stands on it; before any, none."""
    store = MemoryStore()
    today = date(2026, 11, 1)
    assert last_validation(store, today) is None
    for day, errors, failing in (
        ("2026-10-31", [], ["unusual_volumes"]),
        ("2026-10-30", ["duplicate_ids"], ["duplicate_ids"]),
    ):
        body = json.dumps({"date": day, "errors": errors, "failing": failing}).encode()
        store.put(f"validation/date={day}/report.json", body)
    assert last_validation(store, today) == Quality("2026-10-31", True, ("unusual_volumes",))


@pytest.mark.parametrize("is_statement", [True, False])
def test_the_release_is_said_to_be_the_one_deployed_then(is_statement: bool) -> None:
    """Given a page, when its source is read, then the release is not taken for the one that loaded the figures."""
    text = " ".join(text_of(render_page(replace(page_of(), is_statement=is_statement))).split())
    made = "Issued" if is_statement else "Page made"
    assert f"loaded yesterday {made} today Release deployed at that time 138ad3093b6d" in text


def test_adjustments_are_listed() -> None:
    """Given changes of issued months, when the page is written, then each stands there with its sign."""
    adjusted = replace(page_of(), adjustments=(Adjustment("2026-08", "anna", Decimal("-3.10")),))
    assert "2026-08 anna -3.10" in " ".join(text_of(render_page(adjusted)).split())


@given(st.lists(st.decimals("0.01", "9999999.99", places=2), max_size=50))
def test_every_customer_is_in_one_band(amounts: list[Decimal]) -> None:
    """Given any totals, when they are distributed, then the bands hold each customer once."""
    rows = [(str(number), amount) for number, amount in enumerate(amounts)]
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


@needs_browser
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_it_whole(tmp_path: Path, width: int) -> None:
    """Given a phone or a desktop, when the page is opened, then nothing is cut off, and it sorts and filters by the cent."""
    page = json.dumps(render_page(page_of())).replace("</", "<\\/")
    shown = dom_of(tmp_path, PROBE.format(width=width, page=page))
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


@needs_browser
def test_it_is_printed_on_a4(tmp_path: Path) -> None:
    """Given many customers, when the page is printed, then it takes sheets of A4, upright, and more than one."""
    rows = tuple((f"C{number:06d}", Decimal(number * 7 + 1) / 100) for number in range(200))
    printed = pdf_of(tmp_path, render_page(page_of(rows)))
    boxes = re.findall(rb"/MediaBox ?\[([^\]]+)\]", printed)
    sheets = {tuple(round(float(side)) for side in box.split()) for box in boxes}
    assert len(boxes) > 1 and sheets == {(0, 0, 595, 842)}


@needs_browser
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
def test_every_printed_sheet_of_customers_has_the_columns_names(tmp_path: Path) -> None:
    """Given customers on several sheets, when the page is printed, then each sheet with customers begins with the columns."""
    rows = tuple((f"C{number:06d}", Decimal(number * 7 + 1) / 100) for number in range(200))
    pdf_of(tmp_path, render_page(page_of(rows)))
    command = ["pdftotext", "-layout", str(tmp_path / "page.pdf"), "-"]
    sheets = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\f")
    of_customers = [sheet for sheet in sheets if re.search(r"^ *C\d{6} ", sheet, re.MULTILINE)]
    assert len(of_customers) > 2
    assert [sheet for sheet in of_customers if not re.search("Customer.* Total refund", sheet)] == []


JUDGED = """<script>{axe}</script>
<script>
axe.run().then(({{violations}}) => {{
  const said = document.createElement("output");
  said.id = "said";
  said.textContent = JSON.stringify(violations.map(each => [each.id, each.nodes.map(node => node.target.join(" "))]));
  document.body.append(said);
}});
</script></body>"""


@needs_axe
@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("is_statement", [True, False])
def test_axe_finds_nothing(tmp_path: Path, scheme: str, is_statement: bool) -> None:
    """Given the page with all its sections, when axe-core judges it in dark and light, then it has no finding."""
    adjustments = (Adjustment("2026-08", "anna", Decimal("-3.10")),)
    quality = Quality("2026-10-31", passed=is_statement, failing=("orphans",))
    page = render_page(replace(page_of(), is_statement=is_statement, adjustments=adjustments, quality=quality))
    axe = AXE.read_text(encoding="utf-8").replace("</", "<\\/")
    judged = page.replace("</body>", JUDGED.format(axe=axe))
    shown = dom_of(tmp_path, judged, f"--blink-settings=preferredColorScheme={['dark', 'light'].index(scheme)}")
    said = re.search(r'<output id="said">(.*?)</output>', shown)
    assert said, shown[-500:]
    assert json.loads(html.unescape(said[1])) == []
