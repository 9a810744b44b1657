"""dataops cost: estimate the cost of a month at a given volume."""

from __future__ import annotations

from dataclasses import dataclass

import click

from deployer.costs.inventory import take_inventory
from deployer.costs.month import ROUTES, Volume, bill_text, reckon
from deployer.costs.prices import price_table
from deployer.documents import as_document
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples

DEFAULT_RECORDS = 100_000
DEFAULT_MONTHS = 24


@dataclass(frozen=True)
class CostLine:
    """One line of the bill; quantities and prices are decimal text, as exact as they were reckoned."""

    item: str  #: for what
    quantity: str  #: how much, a decimal number
    unit: str  #: of what
    usd_per_unit: str  #: the list price, in US dollars
    usd: str  #: quantity times price


@dataclass(frozen=True)
class CostResult:
    """A month's bill at list prices."""

    env: str  #: the environment
    records_per_day: int  #: how many records arrive a day
    route: str  #: the route
    history_months: int  #: how many months of records there are
    prices_region: str  #: the region of the list prices
    prices_compared: str  #: the day on which the list prices were compared with public pages
    lines: tuple[CostLine, ...]  #: what is billed
    assumptions: tuple[str, ...]  #: the assumptions behind the bill
    total_usd: str  #: the sum, in US dollars


@click.command(
    epilog=examples(
        "dataops cost --env prod",
        "dataops cost --env prod --records-per-day 1000000 --route stream",
        "dataops cost --env uat --history-months 1 --output json",
    )
)
@env_option
@click.option(
    "--records-per-day", type=click.IntRange(min=0), default=DEFAULT_RECORDS, show_default=True, metavar="N",
    help="The number of records that arrive each day.",
)  # fmt: skip
@click.option(
    "--route", type=click.Choice(ROUTES), default=ROUTES[0], show_default=True, help="The route by which they arrive."
)
@click.option(
    "--history-months", type=click.IntRange(min=1), default=DEFAULT_MONTHS, show_default=True, metavar="N",
    help="The number of months of records in the lake.",
)  # fmt: skip
@click.pass_obj
def cost(app: App, env_name: str, records_per_day: int, route: str, history_months: int) -> None:
    """Estimate the cost of a month from the templates, measured figures and a table of list prices.

    Calls no AWS. The actual cost of an account is in its Cost Explorer, by the tags that dataops sets.
    """
    environment = app.environment(env_name)
    inventory = take_inventory(app.project(), environment)
    bill = reckon(inventory, Volume(records_per_day, route, history_months), price_table())
    if environment.endpoint is not None:
        app.say(f"{env_name} is on this machine and costs nothing; on AWS it would cost:")
    elif environment.region != bill.prices.region:
        app.say(
            f"{env_name} is in {environment.region}, whose prices differ somewhat from those of {bill.prices.region}"
        )
    result = CostResult(
        env=env_name,
        records_per_day=records_per_day,
        route=route,
        history_months=history_months,
        prices_region=bill.prices.region,
        prices_compared=bill.prices.compared,
        lines=tuple(
            CostLine(each.item, f"{each.quantity:.6f}", each.unit, f"{each.usd_per_unit:f}", f"{each.usd:.6f}")
            for each in bill.lines
        ),
        assumptions=bill.assumptions,
        total_usd=f"{bill.total_usd:.2f}",
    )
    app.emit(as_document(result), bill_text(bill))
