"""Counts the metrics in logs: those that a function prints in the embedded format, and those that metric filters find.

The emulator only stores these lines; its own matcher reads the patterns of filters.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, replace, require

Data = dict[str, Any]
_log = logging.getLogger(__name__)


def install(cloud: LocalCloud) -> None:
    """Count the metrics of every line that reaches a log group, whoever wrote it."""
    logs, cloudwatch = load("services.cloudwatch_logs"), load("services.cloudwatch")
    forward = require(logs, "_fanout_to_subscription_filters", ("group_name", "stream_name", "events"))
    record = require(cloudwatch, "record_metric", ("namespace", "metric_name", "value", "unit", "dimensions"))
    matcher = require(logs, "_compile_filter_pattern")
    require(logs, "_metric_filters")

    def count(group_name: str, stream_name: str, events: Sequence[Data]) -> None:
        forward(group_name, stream_name, events)
        filters = [each for (group, _), each in logs._metric_filters.items() if group == group_name]
        for event in events:
            text = event["message"]
            for namespace, name, value, unit, dimensions in [*embedded(text), *filtered(filters, text, matcher)]:
                record(namespace, name, value, unit, dimensions)

    replace(logs, "_fanout_to_subscription_filters", count)


Point = tuple[str, str, float, str, dict[str, str]]


def embedded(text: str) -> Iterator[Point]:
    """Yield the metrics of a line in the embedded format; other lines have none."""
    document = _document(text)
    declared = document.get("_aws", {}).get("CloudWatchMetrics", ()) if isinstance(document.get("_aws"), dict) else ()
    for directive in declared:
        for names in directive.get("Dimensions") or [[]]:
            if not all(name in document for name in names):
                continue
            dimensions = {name: str(document[name]) for name in names}
            for metric in directive.get("Metrics", ()):
                found = document.get(metric["Name"])
                for value in found if isinstance(found, list) else [found]:
                    if isinstance(value, int | float):
                        unit = metric.get("Unit", "None")
                        yield directive["Namespace"], metric["Name"], float(value), unit, dimensions


def filtered(filters: Sequence[Data], text: str, matcher: Any) -> Iterator[Point]:
    """Yield the metrics that metric filters find in a line."""
    for each in filters:
        pattern = each.get("filterPattern") or ""
        if pattern and not matcher(pattern)(text):
            continue
        for change in each.get("metricTransformations", ()):
            value = _value(str(change["metricValue"]), text)
            if value is not None:
                yield change["metricNamespace"], change["metricName"], value, change.get("unit", "None"), {}


def _value(text: str, line: str) -> float | None:
    """Return a number, or the field of the line that `$.name` refers to."""
    if not text.startswith("$."):
        return float(text)
    found: Any = _document(line)
    for part in text[2:].split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) else None


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
