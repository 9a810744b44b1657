"""What has arrived by each route, what lies in the raw bucket that no route owns, and what Firehose could not deliver.

Counts are those of the run manifests: what the job has read. The bucket is asked by folders alone, so a great one costs no
more than a small one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from refunds_checks.facts import ROUTES, deliveries, route_of
from refunds_lake.publishing.manifests import InputObject, Manifest, in_force
from refunds_lake.storage.objects import S3ObjectStore, utc_text

from deployer.lake.deployed_lake import Lake
from deployer.lake.run_manifests import recorded_runs

TRANSACTIONS: Final = "transactions/"
DELIVERY_ERRORS: Final = "delivery-errors/"
DELIVERED_AGAIN: Final = f"{DELIVERY_ERRORS}delivered-again/"
"""One empty object for each that was delivered again, under the key that it had below delivery-errors/."""
_OWNED: Final = {TRANSACTIONS, DELIVERY_ERRORS, "smoke/"}


@dataclass(frozen=True)
class RouteArrivals:
    """What the job has read of one route; `last_arrival` is when its latest object came."""

    route: str
    files: int
    records: int
    rejected: int
    last_arrival: str | None


@dataclass(frozen=True)
class Arrivals:
    """`unowned`: objects, or folders with a slash at their end, that lie where no route writes.

    `delivery_errors`: objects of records that Firehose could not deliver and nobody has delivered again.
    """

    routes: tuple[RouteArrivals, ...]
    unowned: tuple[str, ...]
    delivery_errors: int


def arrivals_of(lake: Lake) -> Arrivals:
    """Return what has arrived. Raises ManifestError when the record of runs contradicts itself."""
    return Arrivals(
        tuple(by_route(recorded_runs(lake, lake.live))), tuple(unowned_keys(lake)), len(errors_to_deliver(lake))
    )


def by_route(manifests: Sequence[Manifest]) -> Iterator[RouteArrivals]:
    """Count each delivery once, however many runs have read it; every known route has a row."""
    routes: dict[str, list[InputObject]] = {route: [] for route in ROUTES}
    for each in deliveries(in_force(manifests)):
        routes.setdefault(route_of(each.key), []).append(each)
    for route, objects in routes.items():
        latest = max((each.last_modified for each in objects), default=None)
        yield RouteArrivals(
            route,
            files=len(objects),
            records=sum(each.records for each in objects),
            rejected=sum(each.rejected for each in objects),
            last_arrival=utc_text(latest) if latest else None,
        )


def unowned_keys(lake: Lake) -> Iterator[str]:
    """Yield what lies in the raw bucket outside of the routes' folders."""
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
    """Return the keys of what Firehose could not deliver and nobody has delivered again."""
    keys = {each.key for each in S3ObjectStore(lake.s3, lake.raw_bucket).listing(DELIVERY_ERRORS)}
    done = {DELIVERY_ERRORS + key.removeprefix(DELIVERED_AGAIN) for key in keys if key.startswith(DELIVERED_AGAIN)}
    return sorted(key for key in keys - done if not key.startswith(DELIVERED_AGAIN))
