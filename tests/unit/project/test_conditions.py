"""Which resources of a template an environment has, by its conditions and the parameters that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deployer.project.conditions import UNKNOWN, holds, known_values
from deployer.project.templates import parse_template
from deployer.project.wiring import FromOutput, Given, StackWiring, TemplateDefault

TEMPLATE = parse_template(
    """
Conditions:
  HasStream: !Not [!Equals [!Ref StreamMode, "OFF"]]
  IsLarge: !And [!Condition HasStream, !Or [!Equals [!Ref Size, L], !Equals [!Ref Size, XL]]]
  HasTopic: !Not [!Equals [!Ref TopicArn, ""]]
  IsOdd: !Equals [!Sub "${Size}", L]
Resources: {Bucket: {Type: "AWS::S3::Bucket"}}
""",
    Path("t.yaml"),
)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("HasStream", {"StreamMode": "ON_DEMAND"}, True),
        ("HasStream", {"StreamMode": "OFF"}, False),
        ("IsLarge", {"StreamMode": "ON_DEMAND", "Size": "XL"}, True),
        ("IsLarge", {"StreamMode": "ON_DEMAND", "Size": "S"}, False),
        ("IsLarge", {"StreamMode": "OFF", "Size": "L"}, False),
        ("HasTopic", {"TopicArn": ""}, False),
        ("HasTopic", {"TopicArn": UNKNOWN}, True),
        ("HasTopic", {}, True),
        ("IsOdd", {"Size": "L"}, False),
    ],
)
def test_conditions_are_decided_by_what_is_known(name: str, values: dict[str, Any], expected: bool) -> None:
    """Given parameters, of which some only a deployment knows, when a condition is decided, then unknown is not empty."""
    assert holds({"Condition": name}, values, TEMPLATE) is expected


def test_an_output_is_not_the_default_that_it_replaces() -> None:
    """Given a parameter with a default that another stack's output feeds, then only the deployment knows its value."""
    parameters = (
        "Parameters: {Fed: {Type: String, Default: ''}, Own: {Type: String, Default: x}, Size: {Type: String}}\n"
    )
    template = parse_template(parameters + TEMPLATE.body, Path("t.yaml"))
    sources = {"Fed": FromOutput("a", "Fed"), "Own": TemplateDefault(), "Size": Given("L", "dataops.yml:1")}
    values = known_values(StackWiring("b", "b", template, sources))
    assert values == {"Fed": UNKNOWN, "Own": "x", "Size": "L"}


def test_a_condition_of_another_form_is_an_error() -> None:
    """Given a form that CloudFormation does not have, when it is decided, then it is no silent false."""
    with pytest.raises(ValueError, match="not known"):
        holds({"Fn::Perhaps": []}, {}, TEMPLATE)
