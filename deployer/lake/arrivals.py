"""What has arrived by each route, what waits, which objects in the raw bucket belong to no route, and what was not delivered.

Counts are those of the run manifests: what the job has read, those of the API its own. Of the bucket only the folder of SFTP
users is asked for its objects, whose clients rename them when they are complete; the rest is asked by folders alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from refunds_checks.facts import ROUTES, deliveries, route_of
from refunds_lake.publishing.manifests import InputObject, Manifest, in_force
from refunds_lake.schema.contract import is_waiting
from refunds_lake.storage.objects import S3ObjectStore, utc_text

from deployer.lake.api_counts import ApiCounts, api_counts
from deployer.lake.deployed_lake import Lake

TRANSACTIONS: Final = "transactions/"
SFTP: Final = f"{TRANSACTIONS}source=sftp/"
DELIVERY_ERRORS: Final = "delivery-errors/"
DELIVERED_AGAIN: Final = f"{DELIVERY_ERRORS}delivered-again/"
"""One empty object for each that was delivered again, under the key that it had below delivery-errors/."""
_OWNED: Final = {TRANSACTIONS, DELIVERY_ERRORS, "smoke/"}


@dataclass(frozen=True)
class RouteArrivals:
    """What the job has read of one route."""

    route: str  #: the folder below `transactions/` without `source=`; `unknown` without one
    files: int  #: objects that the job has read
    records: int  #: records in them
    rejected: int  #: of which were rejected
    last_arrival: str | None  #: when the latest of these objects arrived
    #: keys of objects that are not read until their senders rename them: for `sftp` as they are now, for other routes
    #: as of the newest run
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arrivals:
    """What has arrived, and what needs attention."""

    #: `s3`, `sftp`, `stream` (with what the API took), `third-party`, and others that the job has read
    routes: tuple[RouteArrivals, ...]
    #: objects of the raw bucket, and folders with a slash at their end, that belong to no route
    unowned: tuple[str, ...]
    delivery_errors: int  #: objects with records that Firehose could not deliver and that have not been delivered since
    api: ApiCounts | None = None  #: the counts of the API's function; null if no API is deployed


def arrivals_of(lake: Lake, manifests: Sequence[Manifest], now: datetime) -> Arrivals:
    """Return what has arrived, according to all recorded runs and the raw bucket."""
    return Arrivals(
        tuple(by_route(manifests, waiting_keys(lake, manifests))),
        tuple(unowned_keys(lake)),
        len(errors_to_deliver(lake)),
        api_counts(lake.client("cloudwatch"), lake.api_function, now) if lake.api_function else None,
    )


def waiting_keys(lake: Lake, manifests: Sequence[Manifest]) -> set[str]:
    """Return what waits below the folder of SFTP users now, and elsewhere what the newest run saw."""
    listing = S3ObjectStore(lake.s3, lake.raw_bucket).listing(SFTP)
    now = {each.key for each in listing if is_waiting(each.key) and not each.key.endswith("/")}
    return now | {key for each in manifests[-1:] for key in each.waiting if not key.startswith(SFTP)}


def by_route(manifests: Sequence[Manifest], waiting: Iterable[str] = ()) -> Iterator[RouteArrivals]:
    """Count each delivery once, however many runs have read it; every known route has a row."""
    routes: dict[str, list[InputObject]] = {route: [] for route in ROUTES}
    for each in deliveries(in_force(manifests)):
        routes.setdefault(route_of(each.key), []).append(each)
    keys = sorted(waiting)
    for key in keys:
        routes.setdefault(route_of(key), [])
    for route, objects in routes.items():
        latest = max((each.last_modified for each in objects), default=None)
        yield RouteArrivals(
            route,
            files=len(objects),
            records=sum(each.records for each in objects),
            rejected=sum(each.rejected for each in objects),
            last_arrival=utc_text(latest) if latest else None,
            waiting=tuple(key for key in keys if route_of(key) == route),
        )


def unowned_keys(lake: Lake) -> Iterator[str]:
    """Yield what is in the raw bucket outside of the routes' folders."""
    yield from sorted(_children(lake, "") - _OWNED)
    yield from sorted(_children(lake, TRANSACTIONS) - {f"{TRANSACTIONS}source={route}/" for route in ROUTES})


def _children(lake: Lake, folder: str) -> set[str]:
    pages = lake.s3.get_paginator("list_objects_v2").paginate(Bucket=lake.raw_bucket, Prefix=folder, Delimiter="/")
    return {
        child
        for page in pages
        for child in (
            *(each["Prefix"] for each in page.get("CommonPrefixes", ())),
            *(each["Key"] for each in page.get("Contents", ()) if each["Key"] != folder),
        )
    }


def errors_to_deliver(lake: Lake) -> list[str]:
    """Return the keys of the objects that Firehose could not deliver and that have not been delivered again."""
    keys = {each.key for each in S3ObjectStore(lake.s3, lake.raw_bucket).listing(DELIVERY_ERRORS)}
    done = {DELIVERY_ERRORS + key.removeprefix(DELIVERED_AGAIN) for key in keys if key.startswith(DELIVERED_AGAIN)}
    return sorted(key for key in keys - done if not key.startswith(DELIVERED_AGAIN))
