"""The dashboard is JSON that CloudWatch takes, and shows metrics that something writes."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from template_model import ROOT, all_resources, one_resource

BODY: dict[str, Any] = json.loads(one_resource("operations", "Dashboard").properties["DashboardBody"])
WIDGETS: list[dict[str, Any]] = BODY["widgets"]
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
NEEDED = {"metric": {"metrics", "region"}, "text": {"markdown"}, "alarm": {"alarms"}, "log": {"query", "region"}}
KNOWN = {
    "metric": {"metrics", "region", "title", "view", "stacked", "stat", "period", "yAxis", "legend", "annotations"},
    "text": {"markdown", "background"},
    "alarm": {"alarms", "title", "sortBy", "states"},
    "log": {"query", "region", "title", "view"},
}
PERIODS = {1, 5, 10, 30}
WRITTEN_BY = ("functions/validate", "glue/base_tables.py", "glue/refunds_lake")


def test_every_widget_is_one_that_cloudwatch_documents() -> None:
    """Given the body, then each widget has a known type, its needed properties and no unknown ones, and lies in the grid."""
    assert 0 < len(WIDGETS) <= 500
    for widget in WIDGETS:
        kind, properties = widget["type"], widget["properties"]
        assert widget.keys() == {"type", "x", "y", "width", "height", "properties"}
        assert NEEDED[kind] <= properties.keys() <= KNOWN[kind]
        assert widget["x"] >= 0 and widget["width"] >= 1 and widget["x"] + widget["width"] <= 24
        assert 1 <= widget["height"] <= 1000 and widget["y"] >= 0
        if kind == "metric":
            assert properties["view"] in ("timeSeries", "singleValue", "bar", "pie", "table", "gauge")
            assert properties["period"] in PERIODS or properties["period"] % 60 == 0
            assert all(_is_metric(each) for each in properties["metrics"])


def _is_metric(entry: list[Any]) -> bool:
    """Namespace, name and pairs of dimensions, or an expression with an id."""
    if isinstance(entry[0], dict):
        return set(entry[0]) == {"expression", "id"} and re.fullmatch(r"[a-z][A-Za-z0-9_]*", entry[0]["id"]) is not None
    return len(entry) >= 2 and len(entry) % 2 == 0 and all(isinstance(part, str) for part in entry)


def test_widgets_do_not_overlap() -> None:
    """Given the places of the widgets, then no two of them cover the same field of the grid."""
    fields = [
        (x, y)
        for widget in WIDGETS
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(fields) == len(set(fields))


def test_a_search_is_written_as_cloudwatch_reads_it() -> None:
    """Given the expressions, then each searches a schema for terms, with a statistic and a period."""
    pattern = r"SEARCH\('\{RefundsLake(,\w+)*\}( \w+=\"[^\"]+\")+', '(Maximum|Sum)', \d+\)"
    found = [each[0]["expression"] for each in _metrics() if isinstance(each[0], dict)]
    assert len(found) == 3 and all(re.fullmatch(pattern, expression) for expression in found)


def test_metrics_of_ours_are_written_by_somebody() -> None:
    """Given the metrics of our namespace, then the code of the job or the validation names each of them."""
    texts = {
        str(node.value)
        for place in WRITTEN_BY
        for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
    }
    shown = {each[1] for each in _metrics() if each[0] == "RefundsLake"}
    shown |= set(re.findall(r'MetricName="(\w+)"', json.dumps(BODY).replace("\\", "")))
    assert {"read", "kept", "rejected", "duration", "records", "hours_since_delivery"} <= shown
    assert shown <= texts | {"kept", "read", "duplicate", "superseded", "rejected"}


def test_every_alarm_that_is_always_there_is_shown() -> None:
    """Given the alarms of the layers behind the routes, then the dashboard shows all of them."""
    (widget,) = [widget for widget in WIDGETS if widget["type"] == "alarm"]
    alarms = [a for a in all_resources("AWS::CloudWatch::Alarm") if a.template in ("alerts", "crawlers", "operations")]
    assert len(set(widget["properties"]["alarms"])) == len(alarms)


def _metrics() -> list[list[Any]]:
    return [metric for widget in WIDGETS if widget["type"] == "metric" for metric in widget["properties"]["metrics"]]
