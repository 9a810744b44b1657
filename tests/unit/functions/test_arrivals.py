"""The checks on what arrived, and the facts that they and the SQL rest on, from run manifests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from lake_fakes import DirectoryStore
from refunds_checks.arrivals import Skipped, rejected_shares, stale_routes, unusual_volumes
from refunds_checks.facts import Facts, Volume, read_facts, unowned_records
from refunds_lake.publishing.manifests import InputObject, Manifest, Month, RunKind, Tables, manifest_key

DAY = date(2026, 10, 1)
BASE = "base/"


def at(day: date, hour: int = 12) -> datetime:
    """Return a moment of a day in UTC."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def delivery(route: str, moment: datetime, records: int = 100, rejected: int = 0, etag: str = "e") -> InputObject:
    """Build a file that a route delivered."""
    key = f"transactions/source={route}/ingest_date={moment:%Y-%m-%d}/a.jsonl"
    return InputObject(key, etag, moment, 1, records, rejected)


def published(**months: int) -> Tables:
    """Build what a run published: purchase_2026_10=3 is three rows of a month of purchase."""
    tables: dict[str, dict[str, Month]] = {}
    for name, rows in months.items():
        table, year, month = name.rsplit("_", 2)
        tables.setdefault(table, {})[f"{year}-{month}"] = Month("s3://base/somewhere/", rows, None)
    return tables


@dataclass
class Recorded:
    """The runs of a test, each written into the bucket as the job would."""

    store: DirectoryStore
    manifests: list[Manifest] = field(default_factory=list)

    def run(self, finished: datetime, *inputs: InputObject, tables: Tables | None = None) -> Manifest:
        """Record a run that published months beside those that are live."""
        before = self.manifests[-1] if self.manifests else None
        live = {table: dict(months) for table, months in (before.tables if before else {}).items()}
        for table, months in (tables or {}).items():
            live.setdefault(table, {}).update(months)
        changed = {table: tuple(months) for table, months in (tables or {}).items()}
        return self._write(finished, RunKind.INCREMENT, before, tuple(inputs), live, changed)

    def rollback(self, moment: datetime, returns_to: Manifest) -> Manifest:
        """Record that what came after a run was undone."""
        return self._write(moment, RunKind.ROLLBACK, returns_to, (), returns_to.tables, {})

    def _write(
        self,
        finished: datetime,
        kind: RunKind,
        parent: Manifest | None,
        inputs: tuple[InputObject, ...],
        tables: Tables,
        changed: Mapping[str, tuple[str, ...]],
    ) -> Manifest:
        manifest = Manifest(
            number=len(self.manifests) + 1,
            run_id=f"{finished:%Y%m%dT%H%M%SZ}-00000001",
            parent=parent.run_id if parent else None,
            job_run_id="jr_1",
            kind=kind,
            started_at=finished,
            finished_at=finished,
            reporting_time_zone="UTC",
            inputs=inputs,
            tables=tables,
            changed=changed,
        )
        self.manifests.append(manifest)
        self.store.put(manifest_key(BASE, manifest.number), manifest.as_json())
        return manifest


@pytest.fixture
def runs(tmp_path: Path) -> Recorded:
    return Recorded(DirectoryStore(tmp_path))


# The facts


def test_an_arrival_counts_once_and_on_its_day(runs: Recorded) -> None:
    """Given files of two routes and days, one read by two runs, then each counts once, under its route and day."""
    first, second = delivery("s3", at(DAY), 10, 1), delivery("sftp", at(DAY - timedelta(days=1)), 20)
    runs.run(at(DAY, 13), first, second)
    runs.run(at(DAY, 14), first, delivery("s3", at(DAY, 13), 5, etag="another"))
    facts = read_facts(runs.store, BASE, DAY)
    assert facts.volumes == {"s3": {DAY: Volume(15, 1)}, "sftp": {DAY - timedelta(days=1): Volume(20)}}
    assert facts.latest == {"s3": at(DAY, 13), "sftp": at(DAY - timedelta(days=1))}


def test_what_arrived_after_the_day_is_no_fact_of_it(runs: Recorded) -> None:
    """Given a run that read files of the day and of the next, then the day knows its own."""
    tomorrow = DAY + timedelta(days=1)
    runs.run(at(tomorrow), delivery("s3", at(DAY)), delivery("s3", at(tomorrow, 0)))
    facts = read_facts(runs.store, BASE, DAY)
    assert facts.latest == {"s3": at(DAY)}
    assert facts.volumes["s3"] == {DAY: Volume(100)}


def test_an_undone_run_has_delivered_nothing(runs: Recorded) -> None:
    """Given a run that was rolled back, then its files and months are no facts."""
    kept = runs.run(at(DAY, 13), delivery("s3", at(DAY, 1)), tables=published(purchase_2026_09=3))
    runs.run(at(DAY, 14), delivery("sftp", at(DAY, 2)), tables=published(purchase_2026_10=9))
    runs.rollback(at(DAY, 15), kept)
    facts = read_facts(runs.store, BASE, DAY)
    assert set(facts.volumes) == {"s3"}
    assert facts.months == ("2026-09",)
    assert facts.published == {("purchase", "2026-09"): 3}


def test_the_months_of_a_day_are_those_that_its_runs_wrote(runs: Recorded) -> None:
    """Given runs of several days, then the day's months are those of runs that read its files, or ended on it."""
    runs.run(at(DAY - timedelta(days=1)), tables=published(purchase_2026_01=1))
    runs.run(at(DAY, 1), tables=published(purchase_2026_02=1))
    next_night = at(DAY + timedelta(days=1), 2)
    runs.run(next_night, delivery("s3", at(DAY)), tables=published(refund_2026_03=1, rejected_2026_10=1))
    runs.run(at(DAY + timedelta(days=2)), tables=published(purchase_2026_04=1))
    assert read_facts(runs.store, BASE, DAY).months == ("2026-02", "2026-03")
    every = ("2026-01", "2026-02", "2026-03", "2026-04", "2026-10")
    assert read_facts(runs.store, BASE, DAY, all_months=True).months == every


def test_an_empty_lake_has_no_facts(runs: Recorded) -> None:
    """Given no run at all, then there are no facts, and that is no error."""
    assert read_facts(runs.store, BASE, DAY) == Facts(DAY)


# Freshness


def test_a_route_that_delivered_in_time_is_fresh() -> None:
    """Given an arrival exactly as long ago as the cadence allows, then the route is fresh; a second later it is not."""
    facts = Facts(DAY, latest={"sftp": at(DAY + timedelta(days=1), 0) - timedelta(hours=24)})
    assert stale_routes(facts, {"sftp": 24}, None).rows == ()
    late = Facts(DAY, latest={"sftp": facts.latest["sftp"] - timedelta(seconds=1)})
    assert stale_routes(late, {"sftp": 24}, None).rows == (("sftp", "2026-09-30T23:59:59.000000Z", 24),)


def test_a_route_that_never_delivered_is_stale() -> None:
    """Given a cadence and no arrival, then the route is stale; routes without a cadence are not looked at."""
    facts = Facts(DAY, latest={"s3": at(date(2026, 1, 1))})
    assert stale_routes(facts, {"sftp": 24}, None).rows == (("sftp", None, 24),)


def test_without_a_cadence_there_is_no_freshness() -> None:
    """Given no cadence in dataops.yml, then freshness is skipped and says so."""
    with pytest.raises(Skipped, match="no route has an expected cadence"):
        stale_routes(Facts(DAY), {}, None)


# Volume


def history(today: int, before: Mapping[int, int]) -> Facts:
    """Facts of a route: records today, and so many weeks ago."""
    days = {DAY - timedelta(weeks=weeks): Volume(records) for weeks, records in before.items()}
    return Facts(DAY, volumes={"s3": {**days, DAY: Volume(today)}})


STEADY = dict.fromkeys(range(1, 9), 1000)
UNSTEADY = {1: 900, 2: 1100, 3: 700, 4: 1300, 5: 1000, 6: 1000, 7: 500, 8: 1500}  # median 1000, spread 200
VOLUMES = [
    # steady routes: a tenth of the median is the least spread
    ("as always", 1000, STEADY, False),
    ("four spreads more", 1400, STEADY, False),
    ("one record above the band", 1401, STEADY, True),
    ("four spreads less", 600, STEADY, False),
    ("one record below the band", 599, STEADY, True),
    ("nothing", 0, STEADY, True),
    ("four wide spreads", 1800, UNSTEADY, False),
    ("more than four wide spreads", 1801, UNSTEADY, True),
    ("an odd week does not move the band", 1401, {**STEADY, 2: 0}, True),
    # a route that sends nothing on this weekday
    ("a handful", 4, dict.fromkeys(range(1, 9), 0), False),
    ("more than a handful", 5, dict.fromkeys(range(1, 9), 0), True),
    # four weeks are enough, and no more than there are count
    ("four weeks", 1401, dict.fromkeys(range(1, 5), 1000), True),
    ("four weeks, as always", 1000, dict.fromkeys(range(1, 5), 1000), False),
]


@pytest.mark.parametrize(("case", "today", "before", "fires"), VOLUMES, ids=[case[0] for case in VOLUMES])
def test_a_volume_is_compared_with_its_weekday(case: str, today: int, before: Mapping[int, int], fires: bool) -> None:
    """Given weeks of history, when a day's volume is judged, then it fires outside of four spreads around the median."""
    found = unusual_volumes(history(today, before), {}, 4)
    assert bool(found.rows) is fires, found


def test_a_day_without_a_delivery_counts_as_nothing() -> None:
    """Given a route that delivers on another weekday only, when it delivers today, then that is unusual."""
    days = {DAY - timedelta(weeks=weeks, days=1): Volume(1000) for weeks in range(5)} | {DAY: Volume(1000)}
    (row,) = unusual_volumes(Facts(DAY, volumes={"s3": days}), {}, 4).rows
    assert row == ("s3", 1000, 0, 1)


def test_a_band_needs_four_weeks_and_says_so() -> None:
    """Given 27 days of history, then volumes are skipped with the number of days; a route with more is judged."""
    young = {DAY - timedelta(days=27): Volume(1000), DAY: Volume(1)}
    with pytest.raises(Skipped, match="needs four weeks of history, has 27 days"):
        unusual_volumes(Facts(DAY, volumes={"sftp": young}), {}, 4)
    both = Facts(DAY, volumes={"sftp": young, **history(1, STEADY).volumes})
    assert [row[0] for row in unusual_volumes(both, {}, 4).rows] == ["s3"]


def test_nothing_ever_arrived() -> None:
    """Given a lake without arrivals, then there is no volume to judge."""
    with pytest.raises(Skipped, match="has 0 days"):
        unusual_volumes(Facts(DAY), {}, 4)


# Rejections


@pytest.mark.parametrize(("rejected", "fires"), [(0, False), (5, False), (6, True), (100, True)])
def test_a_share_of_rejections_fires_above_the_threshold(rejected: int, fires: bool) -> None:
    """Given 100 records of a route, when more than five are rejected, then its share is reported; five are fine."""
    facts = Facts(DAY, volumes={"s3": {DAY: Volume(100, rejected), DAY - timedelta(days=1): Volume(1, 1)}})
    rows = rejected_shares(facts, {}, 0.05).rows
    assert rows == ((("s3", 100, rejected, rejected / 100),) if fires else ())


def test_each_route_has_its_own_share() -> None:
    """Given a bad route beside a much larger good one, then the bad one is reported all the same."""
    facts = Facts(DAY, volumes={"s3": {DAY: Volume(1_000_000)}, "sftp": {DAY: Volume(10, 9)}})
    assert [row[0] for row in rejected_shares(facts, {}, 0.05).rows] == ["sftp"]


def test_records_that_no_route_owns_are_counted() -> None:
    """Given a day's records of known routes and of others, then those of the others are counted, of that day alone."""
    volumes = {
        "s3": {DAY: Volume(10)},
        "unknown": {DAY: Volume(3, 1), DAY - timedelta(days=1): Volume(7)},
        "mail": {DAY: Volume(2)},
    }
    assert unowned_records(Facts(DAY, volumes=volumes)) == 5
    assert unowned_records(Facts(DAY)) == 0
