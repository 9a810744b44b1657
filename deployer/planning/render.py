"""A template with its parameters filled in, as far as that is possible before anything exists: pure and partial.
References to resources stay as `${Bucket.Arn}`, values of stacks that are not deployed yet as `(known after apply)`.
CloudFormation stays the authority; this gives the plan of new stacks and the words for what changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

KNOWN_AFTER_APPLY = "(known after apply)"
MASK = "****"
_ABSENT = object()
_SUBSTITUTION = re.compile(r"\$\{([^!][^}]*)\}")


@dataclass(frozen=True)
class RenderedResource:
    """A resource that the template makes under these parameters."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    deletion_policy: str
    update_replace_policy: str

    def flat(self) -> dict[str, str]:
        """Return property path -> value as text: `Tags[0].Key`."""
        return {
            path: value if isinstance(value, str) else json.dumps(value) for path, value in flatten(self.properties)
        }


def render(document: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, RenderedResource]:
    """Return the resources whose conditions hold or cannot be known yet, by logical id."""
    scope = _Scope(document, parameters)
    return {
        logical_id: RenderedResource(
            logical_id=logical_id,
            type=str(body.get("Type", "")),
            properties=scope.value(body.get("Properties", {})) or {},
            deletion_policy=str(body.get("DeletionPolicy", "Delete")),
            update_replace_policy=str(body.get("UpdateReplacePolicy", "Delete")),
        )
        for logical_id, body in document.get("Resources", {}).items()
        if scope.holds(body.get("Condition")) is not False
    }


def visible_parameters(document: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return every parameter's value with defaults filled in and NoEcho ones masked."""
    declared = document.get("Parameters", {}) or {}
    values = {name: given.get(name, str(body.get("Default", KNOWN_AFTER_APPLY))) for name, body in declared.items()}
    return {name: MASK if is_secret(declared[name]) else value for name, value in values.items()}


def is_secret(declared: Mapping[str, Any]) -> bool:
    return str(declared.get("NoEcho", "false")).lower() == "true"


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a document with their paths."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flatten(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from flatten(inner, f"{path}[{index}]")
    else:
        yield path, value


def references(value: Any) -> frozenset[str]:
    """Return the names that an expression refers to (parameters, resources), without pseudo parameters."""
    match value:
        case {"Ref": str(name)}:
            return frozenset() if name.startswith("AWS::") else frozenset({name})
        case {"Fn::GetAtt": [str(name), *_]}:
            return frozenset({name})
        case {"Fn::GetAtt": str(name)}:
            return frozenset({name.split(".")[0]})
        case {"Fn::Sub": sub}:
            text, extra = (sub[0], sub[1]) if isinstance(sub, list) else (sub, {})
            names = {n.split(".")[0] for n in _SUBSTITUTION.findall(text) if not n.startswith("AWS::")} - set(extra)
            return frozenset(names).union(*map(references, extra.values()))
        case Mapping():
            return frozenset().union(*map(references, value.values()))
        case list():
            return frozenset().union(*map(references, value))
        case _:
            return frozenset()


def _reference(*parts: Any) -> str:
    return "${" + ".".join(map(str, parts)) + "}"


class _Scope:
    """Names that resolve while one template is rendered."""

    def __init__(self, document: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self._document = document
        self._parameters = visible_parameters(document, parameters)
        self._given = {**self._parameters, **{k: v for k, v in parameters.items() if k in self._parameters}}
        self._conditions = document.get("Conditions", {}) or {}

    def value(self, value: Any) -> Any:
        found = self._resolve(value)
        return None if found is _ABSENT else found

    def _resolve(self, value: Any) -> Any:
        match value:
            case {"Ref": "AWS::NoValue"}:
                return _ABSENT
            case {"Ref": str(name)}:
                return self._parameters.get(name, _reference(name))
            case {"Fn::GetAtt": [*parts]}:
                return _reference(*parts)
            case {"Fn::GetAtt": str(name)}:
                return _reference(name)
            case {"Fn::Sub": sub}:
                return self._substitute(*(sub if isinstance(sub, list) else (sub, {})))
            case {"Fn::If": [str(condition), yes, no]}:
                return self._if(self.holds(condition), yes, no)
            case {"Fn::Join": [str(separator), list(parts)]}:
                return separator.join(str(self.value(part)) for part in parts)
            case {"Fn::FindInMap": [*keys]}:
                return self._find_in_map([str(self.value(key)) for key in keys])
            case Mapping():
                items = ((key, self._resolve(inner)) for key, inner in value.items())
                return {key: inner for key, inner in items if inner is not _ABSENT}
            case list():
                return [inner for inner in map(self._resolve, value) if inner is not _ABSENT]
            case _:
                return value

    def _if(self, holds: bool | None, yes: Any, no: Any) -> Any:
        if holds is None:
            return KNOWN_AFTER_APPLY
        return self._resolve(yes if holds else no)

    def _substitute(self, text: str, extra: Mapping[str, Any]) -> str:
        def one(found: re.Match[str]) -> str:
            name = found[1]
            if name in extra:
                return str(self.value(extra[name]))
            return self._parameters.get(name, found[0])

        return _SUBSTITUTION.sub(one, text)

    def _find_in_map(self, keys: list[str]) -> Any:
        found: Any = self._document.get("Mappings", {})
        for key in keys:
            if not isinstance(found, Mapping) or key not in found:
                return _reference(*keys)
            found = found[key]
        return found

    def holds(self, condition: str | None) -> bool | None:
        """Return whether a condition holds; None if that is known only after apply."""
        return True if condition is None else self._truth(self._conditions.get(condition))

    def _truth(self, rule: Any) -> bool | None:
        match rule:
            case {"Condition": str(name)}:
                return self.holds(name)
            case {"Fn::Equals": [left, right]}:
                sides = [self._plain(left), self._plain(right)]
                return None if any("${" in s or KNOWN_AFTER_APPLY in s for s in sides) else sides[0] == sides[1]
            case {"Fn::Not": [inner]}:
                truth = self._truth(inner)
                return None if truth is None else not truth
            case {"Fn::And": [*inner]}:
                truths = [self._truth(one) for one in inner]
                return False if False in truths else None if None in truths else True
            case {"Fn::Or": [*inner]}:
                truths = [self._truth(one) for one in inner]
                return True if True in truths else None if None in truths else False
            case _:
                return None

    def _plain(self, value: Any) -> str:
        """Return a side of a comparison with secrets in the clear: it is compared, never shown."""
        if isinstance(value, Mapping) and set(value) == {"Ref"}:
            return self._given.get(value["Ref"], _reference(value["Ref"]))
        return str(self.value(value))
