"""A month's bill, the figures that it rests on, and the page that shows it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal

import pytest
from repository import ROOT

from deployer.cli import run
from deployer.costs.inventory import Inventory, take_inventory
from deployer.costs.month import Bill, Volume, figures, reckon
from deployer.costs.page import page
from deployer.costs.prices import price_table
from deployer.project.config import load_project

BENCHMARKS = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
PROJECT = load_project(ROOT)
SMALL = Inventory({"AWS::KMS::Key": 2}, {"WorkerType": "G.1X", "ExecutionClass": "STANDARD"}, checks=2, sql_checks=1)


def bill(inventory: Inventory = SMALL, records: int = 100_000, route: str = "s3", months: int = 24) -> Bill:
    return reckon(inventory, Volume(records, route, months), price_table())


def line(found: Bill, start: str) -> Decimal:
    return sum((each.usd for each in found.lines if each.item.startswith(start)), Decimal(0))


@pytest.mark.parametrize("name", figures())
def test_a_figure_stands_in_the_benchmarks(name: str) -> None:
    """Given a figure of the bill, when the benchmarks are searched, then it is there, and so is the command that measures it."""
    figure = figures()[name]
    assert re.search(rf"(?<![\d.]){re.escape(str(figure.value))}(?![\d.]*\d)", BENCHMARKS), figure
    assert figure.command in BENCHMARKS


def test_the_bill_adds_up() -> None:
    """Given a bill, when its lines are added, then the total is their sum, and each is quantity times price."""
    found = bill(replace(SMALL, resources={"AWS::KMS::Key": 2, "AWS::Transfer::Server": 1}), route="api")
    assert found.total_usd == sum(each.usd for each in found.lines)
    assert all(each.usd == each.quantity * each.usd_per_unit and each.quantity for each in found.lines)
    assert (line(found, "Keys"), line(found, "SFTP server")) == (2, 730 * Decimal("0.30"))


def test_more_records_never_cost_less() -> None:
    """Given growing volumes by each route, when they are reckoned, then no line of the bill shrinks."""
    for route in ("s3", "sftp", "stream", "api", "third-party"):
        totals = [bill(records=records, route=route).total_usd for records in (0, 10_000, 1_000_000, 100_000_000)]
        assert totals == sorted(totals) and totals[0] < totals[-1]


def test_a_run_is_billed_for_a_minute_at_least() -> None:
    """Given a small and a huge batch, when they are reckoned, then the small one costs a minute, the huge one its seconds."""
    minute = 2 * 60 * (Decimal(730) / 24) / 3600 * Decimal("0.44")
    assert line(bill(records=1), "Glue job, 60 s") == minute
    huge = bill(records=20_000_000)
    assert line(huge, "Glue job, 96 s") == minute * figures()["large_load_seconds"].value / 60
    large_workers = replace(SMALL, values={"WorkerType": "G.2X", "ExecutionClass": "FLEX"})
    assert line(bill(large_workers, records=1), "Glue job") == pytest.approx(
        minute * 2 * Decimal("0.29") / Decimal("0.44")
    )


def test_glue_6_costs_thirty_percent_less() -> None:
    """Given a job on Glue 6.0, when it is reckoned, then it is billed at that version's price, 30 % below that of 5.1."""
    on_5_1, on_6_0 = (
        bill(replace(SMALL, values={**SMALL.values, "JobVersion": version})) for version in ("5.1", "6.0")
    )
    assert line(on_6_0, "Glue job") == line(on_5_1, "Glue job") * Decimal("0.7")


def test_what_is_turned_off_is_not_billed() -> None:
    """Given prod's templates, when the stream or the crawls are turned off, then they are not billed."""
    prod = PROJECT.environments["prod"]
    environment = replace(prod, parameters={**prod.parameters, "StreamMode": "OFF"})
    assert line(bill(take_inventory(PROJECT, environment)), "Kinesis") == 0
    for state, billed in (("ENABLED", True), ("DISABLED", False)):
        environment = replace(prod, parameters={**prod.parameters, "CrawlScheduleState": state})
        assert (line(bill(take_inventory(PROJECT, environment)), "Crawlers") > 0) is billed


@pytest.mark.parametrize(
    ("parameters", "hour", "million_records"),
    [
        ({"StreamMode": "ON_DEMAND"}, Decimal("0.04"), (Decimal("0.08") + Decimal("0.04")) * 10**6 / 2**20),
        ({"StreamMode": "PROVISIONED", "ShardCount": "1"}, Decimal("0.015"), Decimal("0.014")),
        ({"StreamMode": "PROVISIONED", "ShardCount": "3"}, Decimal("0.015") * 3, Decimal("0.014")),
    ],
)
def test_a_stream_is_billed_by_its_mode(parameters: dict[str, str], hour: Decimal, million_records: Decimal) -> None:
    """Given a stream of either mode, when it is reckoned, then hours and records have the prices of that mode, shard by shard."""
    prod = PROJECT.environments["prod"]
    inventory = take_inventory(PROJECT, replace(prod, parameters={**prod.parameters, **parameters}))
    found = bill(inventory, route="stream")
    assert line(found, "Kinesis stream") == 730 * hour
    assert line(found, "Kinesis, records") == pytest.approx(million_records * Decimal(730) / 24 / 10)


def test_the_requests_of_the_job_are_billed() -> None:
    """Given one run a day, when it is reckoned, then its requests to S3 and the Data Catalog are those of the benchmark."""
    row = next(each for each in BENCHMARKS.splitlines() if each.startswith("| 20,000,000 | 1 per table |"))
    head = next(each for each in BENCHMARKS.splitlines() if each.startswith("| history | months written |"))
    measured = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    catalog = sum(int(count) for name, count in measured.items() if name.startswith("Glue "))
    gets, writes = int(measured["S3 GetObject"]), int(measured["S3 PutObject"])
    lists = int(measured["S3 ListObjectsV2"]) + int(measured["S3 ListObjectVersions"])
    found = bill()
    days, thousand = Decimal(730) / 24, Decimal(1000)
    assert line(found, "S3, GETs of the job") == pytest.approx(gets * days / thousand * Decimal("0.0004"))
    assert line(found, "S3, PUTs and LISTs") == pytest.approx((writes + lists) * days / thousand * Decimal("0.005"))
    assert line(found, "Data Catalog, requests of the job") == pytest.approx(catalog * days / thousand**2)


def test_checks_and_crawlers_are_billed_as_they_are() -> None:
    """Given prod, then checks that read manifests ask Athena nothing, and crawlers cost nothing where no schedule starts them."""
    prod = PROJECT.environments["prod"]
    inventory = take_inventory(PROJECT, prod)
    assert 0 < inventory.sql_checks < inventory.checks
    half = replace(inventory, sql_checks=inventory.sql_checks * 2)
    assert line(bill(half), "Athena, ") > line(bill(inventory), "Athena, ")
    two_crawls_a_day = 2 * (Decimal(730) / 24) * 2 * (Decimal(1) / 6) * Decimal("0.44")
    assert line(bill(inventory), "Crawlers") == pytest.approx(two_crawls_a_day)
    by_hand = replace(prod, parameters={**prod.parameters, "CrawlScheduleState": "DISABLED"})
    assert line(bill(take_inventory(PROJECT, by_hand)), "Crawlers") == 0


def test_the_page_is_what_the_command_says() -> None:
    """Given docs/costs.md, when it is made anew, then it is the same, so no figure on it is typed in."""
    written = (ROOT / "docs/costs.md").read_text(encoding="utf-8")
    assert written == page(PROJECT), "python -m deployer.costs.page > docs/costs.md"


def test_the_command_prints_what_is_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Given each command on the page, when it is run, then it prints what stands below it, and JSON has the same total."""
    written = (ROOT / "docs/costs.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\n\$ dataops (.+)\n((?:.*\n)*?)```", written)
    assert len(blocks) == 3
    for command, expected in blocks:
        assert run(["--project-dir", str(ROOT), *command.split()]) == 0
        assert capsys.readouterr().out == expected
        assert run(["--project-dir", str(ROOT), "--output", "json", *command.split()]) == 0
        document = json.loads(capsys.readouterr().out)
        assert f"{Decimal(document['total_usd']):,.2f}" == expected.split("\ntotal")[1].split()[0]
