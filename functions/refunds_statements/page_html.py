"""The finance page as a single HTML file that needs no network; its style is in page.css and page.js.

Standard library alone, because a function renders it, too. Every text from the data goes through `visible`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cache
from html import escape
from pathlib import Path
from typing import Final

from refunds_statements.page import REASONS, Adjustment, FinancePage, MonthTotal, distribution

CHART_WIDTH: Final = 640.0
CHART_HEIGHT: Final = 160.0
MOST_ADJUSTMENTS: Final = 200
"""Rows of adjustments on the page; all of them are in a statement's adjustments.csv."""
_NUMBER: Final = ' class="n"'


def render_page(page: FinancePage) -> str:
    """Write the page."""
    sections = (_trend(page), _left_out(page), _top(page), _adjustments(page), _quality(page), _customers(page))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{page.title}, {visible(page.provenance.environment)}</title>
<style>
{_asset("page.css")}</style>
</head>
<body>
{_header(page)}
<main>
{"".join(sections)}</main>
{_footer(page)}
<script>
{_asset("page.js")}</script>
</body>
</html>
"""


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def visible(text: str) -> str:
    """Escape text for HTML, and write out characters that HTML would hide or act on, as in ``\\x1b``."""
    shown = (letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return escape("".join(shown))


def money(amount: Decimal) -> str:
    """Write an amount for readers."""
    return f"{amount:,.2f}"


def signed(amount: Decimal) -> str:
    """Write a change for readers."""
    return f"{amount:+,.2f}"


def _header(page: FinancePage) -> str:
    count = f"{len(page.rows):,} customer{'' if len(page.rows) == 1 else 's'}"
    previous, change = page.previous, page.change
    against = "" if previous is None or change is None else (
        f"; {signed(change)} against {previous.month} ({money(previous.total)})"
    )  # fmt: skip
    adjusted = f"<p>Adjustments of earlier months: {signed(page.adjustments_total)}.</p>\n" if page.is_statement else ""
    return f"""<header>
<h1>{page.title}</h1>
<p class="soft">Refunds of voided transactions and refunds in the month of their purchase are left out.</p>
<p class="total" id="total">{money(page.total)}</p>
<p>{count}{against}.</p>
{adjusted}</header>"""


def _section(name: str, title: str, content: str) -> str:
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>\n{content}</section>\n'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, foot: Sequence[str] = ()) -> str:
    """Write a table; the first column is text, and the headings in `_NUMBER_HEADS` are those of numbers."""
    numbers = [head in _NUMBER_HEADS for head in heads]
    head = "".join(
        f'<th scope="col"{_NUMBER * is_number}>{head}</th>' for head, is_number in zip(heads, numbers, strict=True)
    )
    body = "".join(f"<tr>{_cells(row, numbers)}</tr>\n" for row in rows)
    last = f'<tfoot><tr><th scope="row">{foot[0]}</th>{_cells(foot[1:], numbers[1:])}</tr></tfoot>' if foot else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody>{last}</table>\n"


_NUMBER_HEADS: Final = frozenset({"Total refund", "Number", "Amount", "Customers", "Change"})


def _cells(row: Sequence[str], numbers: Sequence[bool]) -> str:
    return "".join(f"<td{_NUMBER * is_number}>{cell}</td>" for cell, is_number in zip(row, numbers, strict=True))


def _trend(page: FinancePage) -> str:
    if not page.trend:
        return ""
    label = "Bar chart: the total refund of each month; the table below it has the figures"
    chart = (
        f'<svg viewBox="0 0 {CHART_WIDTH:g} {CHART_HEIGHT:g}" role="img" aria-label="{label}">\n{_bars(page)}</svg>\n'
    )
    first, last, top = page.trend[0], page.trend[-1], max(page.trend, key=lambda each: each.total)
    highest = f"highest: {money(top.total)} in {top.month}"
    axis = "".join(f"<span>{text}</span>" for text in (first.month, highest, last.month))
    figures = _table(("Month", "Total refund"), ((each.month, money(each.total)) for each in page.trend))
    return _section(
        "trend",
        "Refunds by month",
        f'{chart}<p class="axis soft" aria-hidden="true">{axis}</p>\n'
        f'<details class="screen"><summary>Figures by month</summary>\n{figures}</details>\n',
    )


def _bars(page: FinancePage) -> str:
    greatest = max((each.total for each in page.trend), default=Decimal(0)) or Decimal(1)
    step = CHART_WIDTH / max(1, len(page.trend))
    return "".join(_bar(each, page.month, number * step, step, greatest) for number, each in enumerate(page.trend))


def _bar(each: MonthTotal, reported: str | None, left: float, step: float, greatest: Decimal) -> str:
    height, width = max(0.0, float(each.total / greatest)) * CHART_HEIGHT, min(step * 0.8, CHART_WIDTH / 12)
    x, y = left + (step - width) / 2, CHART_HEIGHT - height
    place = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
    mark = ' class="is"' if each.month == reported else ""
    return f"<rect {place}{mark}><title>{each.month}: {money(each.total)}</title></rect>\n"


def _left_out(page: FinancePage) -> str:
    rows = [(REASONS[each.reason], f"{each.refunds:,}", money(each.amount)) for each in page.groups]
    every = page.all_refunds
    foot = ("All refunds", f"{every.refunds:,}", money(every.amount))
    return _section(
        "left-out", "What counts, and what was left out", _table(("Refunds", "Number", "Amount"), rows, foot=foot)
    )


def _top(page: FinancePage) -> str:
    if not page.top:
        return ""
    top = _table(("Customer", "Total refund"), ((visible(customer), money(amount)) for customer, amount in page.top))
    bands = ((each.label, f"{each.customers:,}") for each in distribution(page.rows))
    return _section("top", "Customers with the largest refunds", top) + _section(
        "bands", "How refunds are distributed", _table(("Total refund of a customer", "Customers"), bands)
    )


def _adjustments(page: FinancePage) -> str:
    if page.adjustments is None:
        return ""
    title = "Adjustments of earlier months" if page.is_statement else "Adjustments since the last statement"
    return _section("adjustments", title, _adjusted(page.adjustments, page))


def _adjusted(adjustments: Sequence[Adjustment], page: FinancePage) -> str:
    if not adjustments:
        return "<p>None: nothing that was issued has changed.</p>\n"
    rows = [(each.month, visible(each.customer_id), signed(each.amount)) for each in adjustments[:MOST_ADJUSTMENTS]]
    foot = ("All", "", signed(page.adjustments_total))
    more = len(adjustments) - len(rows)
    rest = f'<p class="soft">{more:,} more are not shown, but are part of the total.</p>\n' if more else ""
    return _table(("Month", "Customer", "Change"), rows, foot=foot) + rest


def _quality(page: FinancePage) -> str:
    quality = page.quality
    if quality is None:
        return ""
    failing = ", ".join(map(visible, quality.failing))
    if quality.passed:
        warnings = f"; warnings: {failing}" if failing else ""
        said = f'<p class="good">Every check of {visible(quality.date)} passed{warnings}.</p>\n'
    else:
        said = f'<p class="bad">Checks of {visible(quality.date)} that found something: {failing}.</p>\n'
    override = f"<p>Issued despite this: {visible(quality.override)}</p>\n" if quality.override else ""
    return _section("quality", "Data quality", said + override)


def _customers(page: FinancePage) -> str:
    """Write the table of all customers without closing tags, which HTML does not need; this makes it a third smaller."""
    rows = "".join(f"<tr><td>{visible(customer)}<td class=n>{money(amount)}\n" for customer, amount in page.rows)
    table = f"""<table id="customers"><thead><tr><th scope="col" aria-sort="ascending"><button type="button">Customer</button></th>\
<th scope="col" class="n"><button type="button">Total refund</button></th></tr></thead><tbody>
{rows}</tbody><tfoot><tr><th scope="row">Total</th><td class="n">{money(page.total)}</td></tr></tfoot></table>"""
    find = (
        '<p class="screen"><label for="find">Show customers that contain</label><br>'
        '<input id="find" type="search" autocomplete="off"> <span id="found" role="status" class="soft"></span></p>\n'
    )
    scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="Table of all customers">\n{table}</div>\n'
    return _section("all", "All customers", find + scroll)


def _footer(page: FinancePage) -> str:
    facts = page.provenance
    rows = (
        ("Environment", visible(facts.environment)),
        ("Run", f"{visible(facts.run)}, loaded {visible(facts.loaded_at)}"),
        ("Issued" if page.is_statement else "Page made", visible(facts.made_at)),
        ("Release deployed at that time", visible(facts.release)),
    )
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return f"<footer>\n<h2>Where these figures come from</h2>\n<dl>{listed}</dl>\n</footer>"
