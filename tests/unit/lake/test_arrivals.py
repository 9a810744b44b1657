"""What `dataops status` says has arrived: by route, each delivery once, and what needs somebody's eye."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from refunds_checks.facts import ROUTES
from refunds_lake.publishing.manifests import InputObject, Manifest, RunKind

from deployer.commands.status import arrival_lines
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


def test_what_needs_an_eye_is_said_with_the_way_out() -> None:
    """Given unowned objects and delivery errors, when they are told, then each has a line, control characters escaped."""
    lines = list(arrival_lines(Arrivals((RouteArrivals("s3", 1, 2, 0, None),), ("a\x1bb/",), 3), "uat"))
    assert "no route owns a\\x1bb/" in lines[2]
    assert lines[-1].endswith("-> dataops replay --env uat --delivery-errors")
    assert "nothing yet" in lines[1]
    assert len(list(arrival_lines(Arrivals((), (), 0), "uat"))) == 1
