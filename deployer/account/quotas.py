"""Whether the account has room for what the templates create: quotas that are small in a new account or used up in a full one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.account.checks import AccountCheck, blocker, ok, warning

IAM, STREAMS, FUNCTIONS, WORKERS = "quota of IAM", "quota of Kinesis", "quota of Lambda", "quota of Glue"
UNRESERVED_AT_LEAST = 100  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
# https://docs.aws.amazon.com/glue/latest/dg/add-job.html
UNITS_OF = {"G.1X": 1, "G.2X": 2, "G.4X": 4, "G.8X": 8, "G.12X": 12, "G.16X": 16, "R.1X": 1, "R.2X": 2, "R.4X": 4}


@dataclass(frozen=True)
class Needs:
    """What the stacks that are not there yet would make, and what one run of the daily job takes."""

    types: Counter[str]
    values: Mapping[str, str]  # parameters that decide how much
    reserved_executions: int = 0


def _compared(subject: str, what: str, needed: int, used: int, limit: int) -> AccountCheck:
    if used + needed > limit:
        return blocker(
            subject,
            f"{needed} {what} are needed, {used} of {limit} are in use",
            "request an increase in Service Quotas, or delete what is unused",
        )
    return ok(subject, f"{needed} {what} are needed, {used} of {limit} are in use")


def iam(client: Any, needs: Needs) -> Iterator[AccountCheck]:
    """Yield the quotas of roles and managed policies, which are soon used up where many teams share an account."""
    summary = client.get_account_summary()["SummaryMap"]
    for type_, what, key in (
        ("AWS::IAM::Role", "roles", "Roles"),
        ("AWS::IAM::ManagedPolicy", "managed policies", "Policies"),
    ):
        if needs.types[type_]:
            yield _compared(IAM, what, needs.types[type_], int(summary[key]), int(summary[f"{key}Quota"]))


def streams(client: Any, needs: Needs) -> Iterator[AccountCheck]:
    """Yield the quota of streams: on-demand streams have their own, provisioned ones count by shards."""
    mode = needs.values.get("StreamMode", "ON_DEMAND")
    if not needs.types["AWS::Kinesis::Stream"] or mode == "OFF":
        return
    limits = client.describe_limits()
    if mode == "PROVISIONED":
        shards = int(needs.values.get("ShardCount", "1"))
        yield _compared(STREAMS, "shards", shards, limits["OpenShardCount"], limits["ShardLimit"])
    else:
        used, limit = limits["OnDemandStreamCount"], limits["OnDemandStreamCountLimit"]
        yield _compared(STREAMS, "streams on demand", needs.types["AWS::Kinesis::Stream"], used, limit)


def functions(client: Any, needs: Needs) -> Iterator[AccountCheck]:
    """Yield the quota of concurrent functions: a new account has ten, and Lambda keeps some unreserved."""
    if not needs.types["AWS::Lambda::Function"]:
        return
    limit = client.get_account_settings()["AccountLimit"]
    free = limit["UnreservedConcurrentExecutions"]
    if needs.reserved_executions and free - needs.reserved_executions < UNRESERVED_AT_LEAST:
        yield blocker(
            FUNCTIONS,
            f"{needs.reserved_executions} concurrent executions are reserved, {free} are free and "
            f"{UNRESERVED_AT_LEAST} must remain",
            "request more concurrent executions in Service Quotas",
        )
    else:
        reserved = f", {needs.reserved_executions} would be reserved" if needs.reserved_executions else ""
        yield ok(FUNCTIONS, f"{free} of {limit['ConcurrentExecutions']} concurrent executions are free{reserved}")


def workers(client: Any, needs: Needs) -> Iterator[AccountCheck]:
    """Yield the quota of DPUs for all Glue jobs at once, which is small in a new account."""
    if not needs.types["AWS::Glue::Job"]:
        return
    kind, number = needs.values.get("WorkerType", "G.1X"), int(needs.values.get("MaximumWorkers", "2"))
    units = UNITS_OF.get(kind, 1) * number
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="glue")
    quotas = [quota for page in pages for quota in page["Quotas"]]
    found = [quota["Value"] for quota in quotas if "task dpu" in quota["QuotaName"].lower()]
    if not found:
        yield warning(WORKERS, "AWS lists no quota for task DPUs", f"a run needs {units}: check in Service Quotas")
    else:
        yield _compared(WORKERS, f"DPUs for a run ({number} workers {kind})", units, 0, int(max(found)))
