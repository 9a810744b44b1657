"""The JSON schema for editors says the same as the loader."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from nightly import examples
from project_files import FULL
from repository import ROOT

from deployer.errors import ConfigError
from deployer.project.config import parse_project
from deployer.project.shapes import ENVIRONMENT_NAME, SCHEMA_FILE, json_schema, schema_text
from deployer.project.templates import parse_template

jsonschema = pytest.importorskip("jsonschema")
VALIDATOR = jsonschema.Draft7Validator(json_schema())
DOCUMENT = yaml.load(FULL, Loader=yaml.BaseLoader)
# Numbers are texts to the BaseLoader.
DOCUMENT["environments"]["uat"]["release_max_age_days"] = 7
for route in DOCUMENT["environments"]["uat"]["routes"].values():
    route["expected_every_hours"] = int(route["expected_every_hours"])
DOCUMENT["environments"]["prod"]["termination_protection"] = True


def loader_accepts(document: Any) -> bool:
    """Whether the loader takes the document, written as YAML."""
    try:
        parse_project(yaml.safe_dump(document), Path("/project"), {})
    except ConfigError:
        return False
    return True


def test_the_file_is_made_from_the_table() -> None:
    """Given the shipped schema, when it is made again, then it is the same: ``python -m deployer.project.shapes``."""
    assert resources.files("deployer.project").joinpath(SCHEMA_FILE).read_text(encoding="utf-8") == schema_text()


def test_it_is_a_valid_schema_and_dataops_yml_names_it() -> None:
    """Given dataops.yml, when an editor opens it, then the first line leads to the schema, and the file fits it."""
    jsonschema.Draft7Validator.check_schema(json_schema())
    text = (ROOT / "dataops.yml").read_text(encoding="utf-8")
    head, _, path = text.splitlines()[0].partition("$schema=")
    assert head == "# yaml-language-server: "
    assert (ROOT / path).name == SCHEMA_FILE
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text))) == []


def test_both_accept_the_full_example() -> None:
    """Given a document that uses every key, when both judge it, then both accept it."""
    assert VALIDATOR.is_valid(DOCUMENT)
    assert loader_accepts(DOCUMENT)


TEMPLATES = [parse_template(path.read_text(encoding="utf-8"), path) for path in (ROOT / "templates").glob("*.yaml")]
NAMED = [template for template in TEMPLATES if "EnvironmentName" in template.parameters]
NAMES = ["a", "uat", "x1", "a" * 16, "a" * 17, "acceptancetesting", "1a", "", "Uat", "u-t", "u_t", "ü"]


@pytest.mark.parametrize("name", NAMES)
def test_an_environment_may_have_the_names_that_templates_allow(name: str) -> None:
    """Given a name, when loader, schema and each template's EnvironmentName judge it, then all say the same."""
    document = {
        "project": "p",
        "environments": {name: {"endpoint": "local"}},
        "stacks": {"a": {"template": "a.yaml"}},
    }
    allowed = {
        re.fullmatch(template.document["Parameters"]["EnvironmentName"]["AllowedPattern"], name) is not None
        for template in NAMED
    }
    assert len(NAMED) >= 3
    assert allowed == {loader_accepts(document)} == {VALIDATOR.is_valid(document)}


def test_templates_and_errors_use_the_same_words_for_a_name() -> None:
    """Given a wrong name, then dataops says of it what CloudFormation would say."""
    said = {template.document["Parameters"]["EnvironmentName"]["ConstraintDescription"] for template in NAMED}
    assert said == {f"{ENVIRONMENT_NAME.expected}."}


def paths(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document but its root."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield (*path, key)
        yield from paths(value, (*path, key))


def parent_of(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def _set(value: Any) -> Callable[[Any, tuple[Any, ...]], None]:
    def change(document: Any, path: tuple[Any, ...]) -> None:
        parent_of(document, path)[path[-1]] = copy.deepcopy(value)

    return change


def _delete(document: Any, path: tuple[Any, ...]) -> None:
    del parent_of(document, path)[path[-1]]


def _misspell(document: Any, path: tuple[Any, ...]) -> None:
    parent = parent_of(document, path)
    if isinstance(parent, dict):
        parent[f"{path[-1]}x y"] = parent.pop(path[-1])


VALUES = ["", "x", "local", "0123", "111111111111", "2027-01-31", "../x", "a/b.py", "/abs", "A B", 7, 0, -1, True, 1.5]
CHANGES = {
    "delete": _delete,
    "misspell": _misspell,
    **{f"set {value!r}": _set(value) for value in [*VALUES, None, [], {}, ["x"], {"x": "y"}, {"file": "a.py"}]},
}


@settings(max_examples=examples(600), deadline=None)
@given(st.sampled_from(list(paths(DOCUMENT))), st.sampled_from(list(CHANGES)))
def test_both_judge_a_changed_document_alike(path: tuple[Any, ...], change: str) -> None:
    """Given the full example, when anything in it is changed, then schema and loader agree on whether it is right.

    The loader also holds keys against each other (an environment that is named must exist), which no schema says:
    so what the loader accepts the schema accepts, and what the schema refuses the loader refuses.
    """
    document = copy.deepcopy(DOCUMENT)
    CHANGES[change](document, path)
    accepted = loader_accepts(document)
    if accepted or path[-1] not in ("promotes_from", "resource", "until", "uat", "storage"):
        assert VALIDATOR.is_valid(document) == accepted
