"""What the API's function counted of its calls, as it stands in CloudWatch.

What the API took rides on the stream, and is among the stream's arrivals; what it refused is nowhere but here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from deployer.aws.calls import translated

NAMESPACE: Final = "RefundsLake"
DAYS: Final = 30
_DAY_SECONDS: Final = 86_400
_METRICS: Final = {
    "accepted_calls": "ApiAcceptedCalls",
    "accepted_records": "ApiAcceptedRecords",
    "refused_calls": "ApiRefusedCalls",
    "refused_records": "ApiRefusedRecords",
    "failed_calls": "ApiFailedCalls",
}


@dataclass(frozen=True)
class ApiCounts:
    """Calls and records of the last days."""

    days: int  #: the number of days covered, up to now
    accepted_calls: int  #: calls that were answered 202
    accepted_records: int  #: records in them, which are among those of `stream` once they are read
    refused_calls: int  #: calls that the function refused; what the gateway refuses is only in its log
    refused_records: int  #: bad records in them
    failed_calls: int  #: good calls that the stream did not accept in time


@translated
def api_counts(cloudwatch: Any, function: str, now: datetime) -> ApiCounts:
    """Return what a function has counted in the last DAYS days. `cloudwatch` is boto3's client."""
    queries = [
        {
            "Id": field,
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": metric,
                    "Dimensions": [{"Name": "Function", "Value": function}],
                },
                "Period": _DAY_SECONDS,
                "Stat": "Sum",
            },
        }
        for field, metric in _METRICS.items()
    ]
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=now - timedelta(days=DAYS), EndTime=now + timedelta(minutes=1)
    )
    sums = dict.fromkeys(_METRICS, 0)
    for page in pages:
        for result in page["MetricDataResults"]:
            sums[result["Id"]] += round(sum(result["Values"]))
    return ApiCounts(DAYS, **sums)
