"""Whether the region is enabled, and has the templates' services and the jobs' Glue version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from deployer.account.checks import AccountCheck, blocker, ok, warning

REGION, SERVICES, GLUE = "region", "services", "Glue version"
# The names of services in CloudFormation's types, where boto3 has others.
_IN_BOTO3 = {"KinesisFirehose": "firehose", "CertificateManager": "acm", "SSM": "ssm", "CloudWatch": "cloudwatch"}
_OLDEST_WITH_CONDITIONAL_WRITES = (5, 1)


def region_is_on(client: Any, region: str) -> Iterator[AccountCheck]:
    """Yield whether the region is enabled: an opt-in region answers no one before that.

    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
    """
    found = client.describe_regions(RegionNames=[region], AllRegions=True)["Regions"]
    status = found[0]["OptInStatus"] if found else "unknown"
    if status in ("opt-in-not-required", "opted-in"):
        yield ok(REGION, f"{region} is enabled")
    else:
        yield blocker(REGION, f"{region} is {status}", "have an administrator enable it: aws account enable-region")


def services_in(available: Any, region: str, types: Iterable[str]) -> Iterator[AccountCheck]:
    """Yield whether boto3 knows an endpoint in the region for each service of the templates; no call is made."""
    names = sorted({type_.split("::")[1] for type_ in types if type_.startswith("AWS::")})
    absent = [name for name in names if _has_regions(available, name) and not _is_in(available, name, region)]
    if absent:
        yield warning(
            SERVICES,
            f"boto3 knows no endpoint in {region} for {', '.join(absent)}",
            "check AWS's list of services by region; a newer boto3 may know the endpoint",
        )
    else:
        yield ok(SERVICES, f"{len(names)} services used by the templates are in {region}: {', '.join(names)}")


def _has_regions(available: Any, name: str) -> bool:
    """Return whether a service has endpoints by region, which services of the whole partition, like IAM, do not."""
    return bool(available(_IN_BOTO3.get(name, name.lower())))


def _is_in(available: Any, name: str, region: str) -> bool:
    return region in available(_IN_BOTO3.get(name, name.lower()))


def glue_version(version: str, region: str) -> Iterator[AccountCheck]:
    """Yield what is known of the version: AWS has no call that says which versions a region offers."""
    numbers = tuple(int(part) for part in version.split("."))
    if numbers < _OLDEST_WITH_CONDITIONAL_WRITES:
        yield blocker(GLUE, f"{version} does not support conditional writes", "set JobVersion to 5.1 or 6.0")
    elif region.startswith(("cn-", "us-gov-", "us-iso")):
        yield warning(
            GLUE,
            f"no API call reports whether {region} offers {version}",
            "check AWS's list of Glue versions, or set JobVersion in dataops.yml to a version that jobs there use",
        )
    else:
        yield ok(
            GLUE, f"{version}; no API call reports where it is offered, and AWS documents no exception for {region}"
        )
