"""A month's bill: what an environment has and what arrives, by this repository's figures, at the prices of the table.

A pure function. Every figure names the benchmark that measured it; what was not measured is a stated assumption.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources

from deployer.costs.inventory import Inventory
from deployer.costs.prices import TB, PriceTable, billed_bytes
from deployer.printable import aligned

HOURS = 730
DAYS = Decimal(HOURS) / 24
GB = 2**30
KB = 2**10
MILLION = 10**6
# Of how many records the figures are; the commands in figures.json say so as well.
BATCH_RECORDS, LARGE_LOAD_RECORDS = 100_000, 20_000_000
REPORT_RECORDS, BASE_RECORDS = 5_000_000, 500_000
WORKERS = 2
DPUS_OF_A_WORKER = {"G.1X": 1, "G.2X": 2}
LEAST_SECONDS = 60
CRAWL_DPUS, LEAST_CRAWL_HOURS = 2, Decimal(1) / 6
FILES_A_DAY = 24
ROUTES = ("s3", "sftp", "stream", "api", "third-party")
THROUGH_THE_STREAM = frozenset({"stream", "api"})


@dataclass(frozen=True)
class Figure:
    """Something that was measured, and the command that measures it again."""

    value: Decimal
    meaning: str
    command: str


@functools.cache
def figures() -> Mapping[str, Figure]:
    """Return the measured figures; a test finds each in benchmarks/README.md."""
    text = resources.files("deployer.costs").joinpath("figures.json").read_text(encoding="utf-8")
    return {
        name: Figure(Decimal(each["value"]), each["meaning"], each["command"])
        for name, each in json.loads(text).items()
    }


@dataclass(frozen=True)
class Volume:
    """What arrives: records a day, by which route, and how many months of them there are already."""

    records_per_day: int
    route: str
    history_months: int


@dataclass(frozen=True)
class BillLine:
    """One line of a bill: so much of a unit, at a price in US dollars."""

    item: str
    quantity: Decimal
    unit: str
    usd_per_unit: Decimal
    usd: Decimal


@dataclass(frozen=True)
class Bill:
    """A month's bill."""

    volume: Volume
    prices: PriceTable
    lines: tuple[BillLine, ...]
    assumptions: tuple[str, ...]

    @property
    def total_usd(self) -> Decimal:
        """The sum of the lines."""
        return sum((line.usd for line in self.lines), Decimal(0))


def reckon(inventory: Inventory, volume: Volume, prices: PriceTable) -> Bill:
    """Return the bill of the month in which the history is as long as the volume says."""
    month = _Month(inventory, volume, prices)
    lines = [line for line in month.lines() if line.quantity]
    return Bill(volume, prices, tuple(lines), tuple(month.assumptions()))


class _Month:
    def __init__(self, inventory: Inventory, volume: Volume, prices: PriceTable) -> None:
        self._inventory, self._volume, self._prices = inventory, volume, prices
        self._figures = {name: figure.value for name, figure in figures().items()}

    def lines(self) -> Iterator[BillLine]:
        yield from self._job()
        yield from self._crawlers()
        yield from self._storage()
        yield from self._queries()
        yield from self._routes()
        yield from self._standing()

    def assumptions(self) -> Iterator[str]:
        yield "one run of the job a day, assuming that Glue's two workers match the two cores of the benchmark"
        yield f"{FILES_A_DAY} files a day on the routes that deliver files, one file every {self._buffer_seconds} s from the stream"
        yield "one report of all time and one of a month each day"
        yield "one validation a day, whose checks each read as much as the report of all time reads of three months"
        yield f"a crawl takes {CRAWL_DPUS} DPUs and no longer than the minimum that is billed"
        yield "the job makes as many requests in each run as in the benchmark, and a record of the stream is one PUT payload unit"
        yield "a FLEX job at the price for Glue up to 5.1"
        yield "metrics of the checks, billed as if sent every hour, and no other metrics"
        yield "no free tier, taxes, data transfer, log ingestion, requests to KMS or runs by hand"
        yield "for Lambda only the API's calls, because the other functions are called a few times a day"

    def _line(self, item: str, quantity: Decimal | int, price: str) -> BillLine:
        found, amount = self._prices[price], Decimal(quantity)
        return BillLine(item, amount, found.unit, found.usd, amount * found.usd)

    @property
    def _records(self) -> Decimal:
        """In a month."""
        return self._volume.records_per_day * DAYS

    @property
    def _history(self) -> Decimal:
        return self._records * self._volume.history_months

    @property
    def _buffer_seconds(self) -> int:
        return int(self._inventory.values.get("DeliveryBufferSeconds", "300"))

    def _job(self) -> Iterator[BillLine]:
        batch, large = self._figures["batch_seconds"], self._figures["large_load_seconds"]
        per_record = (large - batch) / (LARGE_LOAD_RECORDS - BATCH_RECORDS)
        more = self._volume.records_per_day - BATCH_RECORDS
        seconds = max(Decimal(LEAST_SECONDS), batch + per_record * more)
        dpus = WORKERS * DPUS_OF_A_WORKER[self._inventory.values.get("WorkerType", "G.1X")]
        yield self._line(f"Glue job, {seconds:.0f} s a day", dpus * seconds * DAYS / 3600, self._price_of_the_job)

    @property
    def _price_of_the_job(self) -> str:
        if self._inventory.values.get("ExecutionClass") == "FLEX":
            return "glue_flex_dpu_hour"
        return "glue_6_dpu_hour" if self._inventory.values.get("JobVersion") == "6.0" else "glue_dpu_hour"

    def _crawlers(self) -> Iterator[BillLine]:
        if self._inventory.values.get("CrawlScheduleState") == "ENABLED":
            crawls = self._inventory.resources.get("AWS::Glue::Crawler", 0) * DAYS
            yield self._line("Crawlers, once a day", crawls * CRAWL_DPUS * LEAST_CRAWL_HOURS, "glue_crawler_dpu_hour")

    def _storage(self) -> Iterator[BillLine]:
        raw = self._history * self._raw_bytes
        base = self._history * self._figures["base_mb"] * MILLION / BASE_RECORDS
        days = int(self._inventory.values.get("RetentionDays", "30"))
        written = self._volume.records_per_day * self._figures["batch_written_mb"] * MILLION / BATCH_RECORDS
        yield self._line("S3, raw records", raw / GB, "s3_standard_gb_month")
        yield self._line("S3, base tables", base / GB, "s3_standard_gb_month")
        yield self._line(f"S3, months kept {days} days for a rollback", written * days / GB, "s3_standard_gb_month")
        yield self._line("S3, PUTs and LISTs of the job", self._figures["batch_puts"] * DAYS / 1000, "s3_thousand_puts")
        yield self._line("S3, GETs of the job", self._figures["batch_gets"] * DAYS / 1000, "s3_thousand_gets")
        requests = self._figures["batch_catalog_requests"] * DAYS / MILLION
        yield self._line("Data Catalog, requests of the job", requests, "glue_catalog_million_requests")
        yield self._line("S3, raw objects written", self._raw_objects / 1000, "s3_thousand_puts")
        yield self._line("S3, raw objects read", self._raw_objects / 1000, "s3_thousand_gets")

    @property
    def _raw_bytes(self) -> Decimal:
        """Of one record, in gzip: three scans of the raw files read so many times what the report reads."""
        return self._figures["report_mb"] * self._figures["raw_ratio"] / 3 * MILLION / REPORT_RECORDS

    @property
    def _raw_objects(self) -> Decimal:
        if self._volume.route in THROUGH_THE_STREAM:
            return Decimal(24 * 3600) / self._buffer_seconds * DAYS
        return FILES_A_DAY * DAYS

    def _queries(self) -> Iterator[BillLine]:
        all_time = self._billed(self._history)
        three_months = self._billed(min(self._history, self._records * 3))
        month = billed_bytes(int(self._figures["month_report_mb"] * MILLION))
        yield self._line("Athena, a report of all time a day", all_time * DAYS / TB, "athena_tb_scanned")
        yield self._line("Athena, a report of a month a day", month * DAYS / TB, "athena_tb_scanned")
        checks = self._inventory.sql_checks
        yield self._line(f"Athena, {checks} checks a day", checks * three_months * DAYS / TB, "athena_tb_scanned")

    def _billed(self, records: Decimal) -> int:
        return billed_bytes(int(records * self._figures["report_mb"] * MILLION / REPORT_RECORDS))

    def _routes(self) -> Iterator[BillLine]:
        route, has = self._volume.route, self._inventory.has
        if has("AWS::Kinesis::Stream"):
            yield self._stream()
        if route in THROUGH_THE_STREAM:
            yield from self._streamed()
            yield self._line("Firehose, records in", self._records * 5 * KB / GB, "firehose_gb")
        if route == "api":
            yield self._line("API, one record a request", self._records / MILLION, "apigateway_rest_million_requests")
            yield self._line("API's function", self._records / MILLION, "lambda_million_requests")
        if has("AWS::Transfer::Server"):
            yield self._line("SFTP server", HOURS, "transfer_server_hour")
        if route == "sftp":
            yield self._line("SFTP, files in", self._records * self._raw_bytes / GB, "transfer_gb")

    @property
    def _is_provisioned(self) -> bool:
        return self._inventory.values.get("StreamMode") == "PROVISIONED"

    def _stream(self) -> BillLine:
        if self._is_provisioned:
            shards = int(self._inventory.values.get("ShardCount", "1"))
            return self._line(f"Kinesis stream, shards: {shards}", shards * HOURS, "kinesis_shard_hour")
        return self._line("Kinesis stream", HOURS, "kinesis_on_demand_stream_hour")

    def _streamed(self) -> Iterator[BillLine]:
        if self._is_provisioned:  # what is read costs nothing more
            yield self._line("Kinesis, records in", self._records / MILLION, "kinesis_million_put_units")
        else:
            yield self._line("Kinesis, records in", self._records * KB / GB, "kinesis_on_demand_gb_in")
            yield self._line("Kinesis, records out", self._records * KB / GB, "kinesis_on_demand_gb_out")

    def _standing(self) -> Iterator[BillLine]:
        count = self._inventory.resources.get
        yield self._line("Keys", count("AWS::KMS::Key", 0), "kms_key_month")
        yield self._line("Alarms", count("AWS::CloudWatch::Alarm", 0), "cloudwatch_alarm_month")
        yield self._line("Dashboards", count("AWS::CloudWatch::Dashboard", 0), "cloudwatch_dashboard_month")
        yield self._line("Secrets", count("AWS::SecretsManager::Secret", 0), "secretsmanager_secret_month")
        yield self._line("Metrics, one for each check", self._inventory.checks, "cloudwatch_metric_month")


def bill_text(bill: Bill) -> str:
    """Show a bill as a table with its total, followed by its assumptions."""
    volume = bill.volume
    head = ("what", "quantity", "unit", "USD each", "USD")
    rows = [
        (line.item, f"{line.quantity:,.4g}", line.unit, f"{line.usd_per_unit.normalize():f}", f"{line.usd:,.2f}")
        for line in bill.lines
    ]
    total = ("total", "", "", "", f"{bill.total_usd:,.2f}")
    arriving = f"{volume.records_per_day:,} records a day by route {volume.route}"
    return "\n".join(
        [
            f"a month of {arriving}, with {volume.history_months} months of history",
            f"list prices of {bill.prices.region}, compared with public pages on {bill.prices.compared}, not with AWS's price list",
            "",
            *aligned([head, None, *rows, None, total], right={1, 3, 4}),
            "",
            "Assumptions:",
            *(f"  {each}" for each in bill.assumptions),
        ]
    )
