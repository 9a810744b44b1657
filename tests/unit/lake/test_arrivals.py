"""What `dataops status` says has arrived: by route, each delivery once, and what needs somebody's eye."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws
from refunds_checks.facts import ROUTES
from refunds_lake.publishing.manifests import InputObject, Manifest, RunKind

from deployer.commands.status import arrival_lines
from deployer.lake.api_counts import ApiCounts, api_counts
from deployer.lake.arrivals import Arrivals, RouteArrivals, by_route

DAY = datetime(2026, 10, 1, 12, tzinfo=UTC)


def read(key: str, records: int = 1, rejected: int = 0, day: int = 1) -> InputObject:
    return InputObject(key, f"etag-{key}", DAY.replace(day=day), 10, records=records, rejected=rejected)


def run(number: int, inputs: Sequence[InputObject], kind: RunKind = RunKind.INCREMENT) -> Manifest:
    parent = f"r{number - 1}" if number > 1 else None
    return Manifest(number, f"r{number}", parent, f"jr{number}", kind, DAY, DAY, "UTC", tuple(inputs))


def test_each_delivery_counts_once_and_every_route_has_a_row() -> None:
    """Given runs, one of which read an object again, when routes are counted, then each object counts once."""
    again = read("transactions/source=s3/a.csv", 10, 2)
    runs = [
        run(1, [again, read("transactions/source=stream/ingest_date=2026-10-01/x.gz", 5)]),
        run(2, [again], RunKind.REPLAY),
        run(3, [read("transactions/source=s3/b.csv", 1, day=3), read("transactions/loose.csv", 4)]),
    ]
    found = {each.route: each for each in by_route(runs)}
    assert list(found) == [*ROUTES, "unknown"]
    assert found["s3"] == RouteArrivals("s3", 2, 11, 2, "2026-10-03T12:00:00.000000Z")
    assert found["sftp"] == RouteArrivals("sftp", 0, 0, 0, None)
    assert (found["stream"].records, found["unknown"].records) == (5, 4)


def test_a_lake_without_runs_has_rows_without_arrivals() -> None:
    """Given no run yet, when routes are counted, then each known one is there, with nothing."""
    assert [each.files for each in by_route([])] == [0] * len(ROUTES)


def test_what_waits_is_told_by_route_and_not_without_end() -> None:
    """Given objects that wait for their names, when routes are told, then each is named, of many the first ones."""
    keys = [f"transactions/source=sftp/acme/{number}.csv.tmp" for number in range(7)]
    routes = tuple(by_route([run(1, [read("transactions/source=s3/a.csv")])], [*keys, "transactions/.loose.csv"]))
    waiting = {each.route: each.waiting for each in routes}
    assert waiting == {
        "s3": (),
        "sftp": tuple(keys),
        "stream": (),
        "third-party": (),
        "unknown": ("transactions/.loose.csv",),
    }
    lines = [line.strip() for line in arrival_lines(Arrivals(routes, (), 0), "uat")]
    place = lines.index("waits for its sender to rename it: transactions/source=sftp/acme/0.csv.tmp")
    assert lines[place + 4].endswith("4.csv.tmp") and lines[place + 5] == "and 2 more wait"


def test_what_the_api_counted_is_summed_over_its_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given counts of the API's function on several days, and another function's, when they are told, then its own are summed."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        cloudwatch = boto3.client("cloudwatch", region_name="ap-southeast-2")
        now = datetime.now(UTC)
        for function, days, name, value in (
            ("ingest", 29, "ApiAcceptedRecords", 500), ("ingest", 1, "ApiAcceptedRecords", 12),
            ("ingest", 1, "ApiAcceptedCalls", 2), ("ingest", 0, "ApiRefusedCalls", 1),
            ("ingest", 0, "ApiRefusedRecords", 3), ("ingest", 40, "ApiFailedCalls", 1), ("another", 1, "ApiAcceptedCalls", 7),
        ):  # fmt: skip
            point = {"MetricName": name, "Value": value, "Unit": "Count", "Timestamp": now - timedelta(days=days)}
            point["Dimensions"] = [{"Name": "Function", "Value": function}]
            cloudwatch.put_metric_data(Namespace="RefundsLake", MetricData=[point])
        found = api_counts(cloudwatch, "ingest", now)
    assert found == ApiCounts(30, 2, 512, 1, 3, 0)
    (line,) = list(arrival_lines(Arrivals((), (), 0, found), "uat"))[1:]
    assert "2 calls with 512 records accepted, 1 calls with 3 bad records refused, 0 calls failed" in line


def test_what_needs_an_eye_is_said_with_the_way_out() -> None:
    """Given unowned objects and delivery errors, when they are told, then each has a line, control characters escaped."""
    lines = list(arrival_lines(Arrivals((RouteArrivals("s3", 1, 2, 0, None),), ("a\x1bb/",), 3), "uat"))
    assert "a\\x1bb/ in the raw bucket belongs to no route" in lines[2]
    assert lines[-1].endswith("-> dataops replay --env uat --delivery-errors")
    assert "nothing yet" in lines[1]
    assert len(list(arrival_lines(Arrivals((), (), 0), "uat"))) == 1
