"""docs/costs.md: what `dataops cost` prints for three volumes, the figures behind it and the prices.

python -m deployer.costs.page > docs/costs.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from deployer.costs.inventory import take_inventory
from deployer.costs.month import Volume, bill_text, figures, reckon
from deployer.costs.prices import price_table
from deployer.project.config import Project, load_project

ENVIRONMENT = "prod"
VOLUMES = (10_000, 100_000, 1_000_000)
HISTORY_MONTHS = 24


def page(project: Project) -> str:
    """Return the page for a checkout."""
    return "\n".join(_lines(project)) + "\n"


def _lines(project: Project) -> Iterator[str]:
    table = price_table()
    inventory = take_inventory(project, project.environments[ENVIRONMENT])
    yield "# Costs"
    yield "What a month costs on AWS: what the templates build, at volumes that you name, by figures measured here, at list prices."
    yield "No bill of AWS stands behind it; after the first month, Cost Explorer has the truth, by the tags that dataops sets."
    yield "This page is written by `python -m deployer.costs.page > docs/costs.md`, and a test holds it to that."
    yield "`--route` and `--history-months` change what arrives and how much is there; `dataops cost --help` has examples."
    for records in VOLUMES:
        yield ""
        yield f"## {records:,} records a day"
        yield "```"
        yield f"$ dataops cost --env {ENVIRONMENT} --records-per-day {records}"
        yield bill_text(reckon(inventory, Volume(records, "s3", HISTORY_MONTHS), table))
        yield "```"
    yield ""
    yield "## Figures"
    yield "Measured in [benchmarks](../benchmarks/README.md), and kept in `deployer/costs/figures.json`."
    yield ""
    yield "| figure | value | measured by |"
    yield "|---|---|---|"
    for figure in figures().values():
        yield f"| {figure.meaning} | {figure.value} | `{figure.command}` |"
    yield ""
    yield "## Prices"
    yield (
        f"List prices of {table.region}, in `deployer/costs/prices.json`. They were typed in and, on {table.compared}, "
        "found in public pages, most of them not AWS's own: the last column says which."
    )
    yield "Nobody compared them with AWS's price list or with a bill; look at AWS's pages before you plan with them."
    yield "Other regions differ, `ap-southeast-2` of `dataops.yml` too."
    yield (
        "A job on Glue 6.0, the default of `JobVersion`, is billed at the price of Glue 6.0, which is 30 % below that of 5.1."
    )
    yield ""
    yield "| USD | per | AWS's page | found in |"
    yield "|---|---|---|---|"
    for price in table.prices.values():
        yield f"| {price.usd} | {price.unit} | {price.page} | {price.seen_in} |"


if __name__ == "__main__":
    sys.stdout.write(page(load_project(Path())))
