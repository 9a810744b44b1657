"""Which resources of a template an environment has: evaluates its conditions from the known parameters.

A value that is known only when it is deployed, such as another stack's output, is not empty and equals nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deployer.project.templates import Template
from deployer.project.wiring import BuiltIn, Given, StackWiring, TemplateDefault

UNKNOWN = object()


def known_values(wiring: StackWiring) -> dict[str, Any]:
    """Return each parameter's value, UNKNOWN for one that is known only during a deployment."""
    return {name: _value(wiring, name) for name in wiring.template.parameters}


def _value(wiring: StackWiring, name: str) -> Any:
    match wiring.sources.get(name):
        case Given(value=value) | BuiltIn(value=value):
            return value
        case TemplateDefault():
            return wiring.template.parameters[name].default
        case _:
            return UNKNOWN


def resources_of(wiring: StackWiring) -> Iterator[Mapping[str, Any]]:
    """Return the resources that the stack has, as in the template."""
    values = known_values(wiring)
    for resource in wiring.template.document.get("Resources", {}).values():
        condition = resource.get("Condition")
        if condition is None or holds({"Condition": condition}, values, wiring.template):
            yield resource


def holds(condition: Mapping[str, Any], values: Mapping[str, Any], template: Template) -> bool:
    """Decide a condition. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-conditions.html"""

    def decide(part: Mapping[str, Any]) -> bool:
        return holds(part, values, template)

    match condition:
        case {"Condition": str(name)}:
            return decide(template.document["Conditions"][name])
        case {"Fn::And": parts}:
            return all(map(decide, parts))
        case {"Fn::Or": parts}:
            return any(map(decide, parts))
        case {"Fn::Not": [part]}:
            return not decide(part)
        case {"Fn::Equals": [left, right]}:
            return bool(resolve(left, values) == resolve(right, values))
        case _:
            raise ValueError(f"{template.file}: a condition of this form is not known: {condition}")


def resolve(value: Any, values: Mapping[str, Any]) -> Any:
    """Return what a reference to a parameter stands for; return any other value unchanged."""
    match value:
        case {"Ref": str(name)}:
            return values.get(name, UNKNOWN)
        case Mapping():
            return UNKNOWN
        case bool():
            return str(value).lower()
        case _:
            return str(value)
