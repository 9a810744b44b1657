"""Every parameter has exactly one source, the order of stacks follows from them, and what does not fit is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from project_files import config_text, project, template
from repository import ROOT

from deployer.project.config import Environment, Project, StackSpec, load_project
from deployer.project.templates import Template, load_templates
from deployer.project.wiring import BuiltIn, FromArtifact, FromOutput, Given, TemplateDefault, Wiring, wire


def wired(templates: Mapping[str, Template], *, variables: Mapping[str, str] | None = None, **sections: str) -> Wiring:
    """The wiring of these stacks for the environment uat."""
    stacks = "\n".join(f"{name}: {{template: {name}.yaml}}" for name in templates)
    declared = project(config_text(**{"stacks": stacks, **sections}), variables=variables)
    return wire(declared, templates, declared.environments["uat"])


def told(wiring: Wiring) -> list[str]:
    return [f"{each.location}: {each.message}{f' ({each.hint})' if each.hint else ''}" for each in wiring.findings]


UAT = "uat: {endpoint: local, parameters: {%s}}"


def test_each_kind_of_source() -> None:
    """Given parameters of every kind, when they are wired, then each has the source that the contract says."""
    wiring = wired(
        {
            "storage": template("EnvironmentName", outputs=("BucketName",)),
            "glue": template(
                "BucketName", "Script", "Size", "TableSet", declared={"Days": "{Type: Number, Default: 3}"}
            ),
        },
        environments=UAT % "Size: 4",
        artifacts="Script: {file: job.py}",
        stacks="storage: {template: a.yaml}\nglue:\n  template: b.yaml\n  parameters: {TableSet: smoke}",
    )
    assert told(wiring) == []
    assert wiring.stacks["storage"].sources == {"EnvironmentName": BuiltIn("uat")}
    assert wiring.stacks["glue"].sources == {
        "BucketName": FromOutput("storage", "BucketName"),
        "Script": FromArtifact("Script"),
        "Size": Given("4", "dataops.yml:3:45"),
        "TableSet": Given("smoke", "dataops.yml:10:28"),
        "Days": TemplateDefault(),
    }
    assert wiring.parents("glue") == {"storage"}
    assert wiring.order() == (("storage",), ("glue",))


def test_cadences_of_routes_are_built_in() -> None:
    """Given routes with and without a cadence, when a template asks for them, then it gets one text, in one order."""
    asking = {"a": template("RouteCadences")}
    some = "uat: {endpoint: local, routes: {sftp: {expected_every_hours: 24}, s3: {expected_every_hours: 6}}}"
    assert wired(asking, environments=some).stacks["a"].sources == {"RouteCadences": BuiltIn("s3=6,sftp=24")}
    assert wired(asking).stacks["a"].sources == {"RouteCadences": BuiltIn("")}


def test_a_renamed_output_feeds_under_its_new_name() -> None:
    """Given one template in two stacks, when one renames its output, then each name leads to its own stack."""
    catalog = template(outputs=("Database",))
    wiring = wired(
        {"live": catalog, "smoke": catalog, "glue": template("Database", "SmokeDatabase")},
        stacks=(
            "live: {template: c.yaml}\n"
            "smoke: {template: c.yaml, outputs: {Database: SmokeDatabase}}\n"
            "glue: {template: g.yaml}"
        ),
    )
    assert told(wiring) == []
    assert wiring.stacks["glue"].sources == {
        "Database": FromOutput("live", "Database"),
        "SmokeDatabase": FromOutput("smoke", "Database"),
    }
    assert wiring.order() == (("live", "smoke"), ("glue",))


def test_a_value_of_dataops_yml_comes_before_an_output() -> None:
    """Given an output and a value of one name, when they are wired, then the value wins and the edge is gone."""
    wiring = wired({"a": template(outputs=("Key",)), "b": template("Key")}, environments=UAT % "Key: mine")
    assert wiring.stacks["b"].sources == {"Key": Given("mine", "dataops.yml:3:44")}
    assert wiring.order() == (("a", "b"),)


def test_values_are_not_part_of_a_repr() -> None:
    """Given a value that may be secret, when the wiring is printed, then the value is not."""
    assert "mine" not in repr(wired({"a": template("Key")}, environments=UAT % "Key: mine"))


PROBLEMS: dict[str, tuple[Wiring, list[str]]] = {
    "unfed": (
        wired({"a": template("Nothing")}),
        [
            (
                "templates/a.yaml:2: stack a: the parameter 'Nothing' has no value "
                "(give it under `parameters` of environment uat, or a Default in the template)"
            )
        ],
    ),
    "unfed, and an output resembles it": (
        wired({"a": template(outputs=("BucketName",)), "b": template("BuckeName", file="b.yaml")}),
        [
            (
                "b.yaml:2: stack b: the parameter 'BuckeName' has no value "
                "(did you mean the output or artifact 'BucketName'?)"
            )
        ],
    ),
    "clash of two outputs, taken or not": (
        wired({"a": template(outputs=("Key",)), "b": template(outputs=("Key",), file="b.yaml")}),
        [
            (
                "b.yaml:4: 'Key' has 2 sources: stack a (templates/a.yaml:4), stack b (b.yaml:4) "
                "(rename an output under `outputs` of its stack in dataops.yml)"
            )
        ],
    ),
    "clash of an output and an artifact": (
        wired({"a": template(outputs=("Sql",)), "b": template("Sql")}, artifacts="Sql: {text: a.sql}"),
        [
            (
                "templates/a.yaml:4: 'Sql' has 2 sources: stack a (templates/a.yaml:4), the artifact (dataops.yml:5:15) "
                "(rename an output under `outputs` of its stack in dataops.yml)"
            )
        ],
    ),
    "cycle": (
        wired(
            {
                "a": template("Two", outputs=("One",)),
                "b": template("One", outputs=("Two",), file="b.yaml"),
                "c": template("One", file="c.yaml"),
            }
        ),
        [
            (
                "b.yaml:2: stacks depend on each other in a loop: b takes One of a; a takes Two of b "
                "(move a resource to another stack, or give one of the values in dataops.yml)"
            )
        ],
    ),
    "a stack does not feed itself": (
        wired({"a": template("Key", outputs=("Key",))}),
        [
            "templates/a.yaml:2: stack a: the parameter 'Key' has no value (give it under `parameters` of environment uat, or a Default in the template)"
        ],
    ),
    "given twice": (
        wired(
            {"a": template("Days")},
            environments=UAT % "Days: 1",
            stacks="a: {template: a.yaml, parameters: {Days: 2}}",
        ),
        [
            (
                "templates/a.yaml:2: stack a: parameter 'Days' is given twice: dataops.yml:5:44 and dataops.yml:3:45 "
                "(keep one of them)"
            )
        ],
    ),
    "an environment's value for no template": (
        wired({"a": template(declared={"Days": "{Type: Number, Default: 1}"})}, environments=UAT % "Dayz: 1"),
        ["dataops.yml:3: environment uat: no template has a parameter 'Dayz' (did you mean 'Days'?)"],
    ),
    "a stack's value and new name for nothing": (
        wired({"a": template()}, stacks="a:\n  template: a.yaml\n  parameters: {Days: 2}\n  outputs: {Key: Other}"),
        [
            "dataops.yml:7: stack a: its template has no parameter 'Days'",
            "dataops.yml:8: stack a: its template has no output 'Key'",
        ],
    ),
    "an artifact that nothing takes": (
        wired({"a": template()}, artifacts="Sql: {text: a.sql}"),
        ["dataops.yml:5: no template has a parameter 'Sql' for this artifact"],
    ),
    "a variable that is not set": (
        wired({"a": template("Secret")}, environments=UAT % "Secret: {from_environment: TOKEN}"),
        [
            (
                "templates/a.yaml:2: stack a: parameter 'Secret' takes the variable TOKEN, which is not set "
                "(export TOKEN=...)"
            )
        ],
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_does_not_fit_is_told_with_its_place(problem: str) -> None:
    """Given stacks that do not fit together, when they are wired, then the message has file and line and a way out."""
    wiring, expected = PROBLEMS[problem]
    assert told(wiring) == expected


def test_a_cycle_has_no_order() -> None:
    """Given stacks that need each other, when their order is asked for, then there is none."""
    import graphlib

    with pytest.raises(graphlib.CycleError):
        PROBLEMS["cycle"][0].order()


def test_the_projects_stacks_fit_in_every_environment() -> None:
    """Given the repository's templates, when they are wired, then nothing is wrong in any environment."""
    own = load_project(ROOT)
    templates = load_templates(own)
    for environment in own.environments.values():
        assert told(wire(own, templates, environment)) == []


@given(st.lists(st.sets(st.integers(0, 11)), max_size=12))
def test_a_stack_comes_after_its_parents(taken: list[set[int]]) -> None:
    """Given any stacks that take outputs of earlier ones, when they are ordered, then parents come first, all once."""
    templates = {
        f"s{n}": template(*(f"Out{each}" for each in sorted(takes) if each < n), outputs=(f"Out{n}",))
        for n, takes in enumerate(taken)
    }
    specs = {name: StackSpec(name, Path(f"/x/{name}.yaml")) for name in templates}
    wiring = wire(Project("x", Path("/x"), {}, specs, {}), templates, Environment("uat"))
    assert wiring.findings == ()
    started: list[str] = []
    for batch in wiring.order():
        assert all(wiring.parents(stack) <= set(started) for stack in batch)
        started += batch
    assert sorted(started) == sorted(templates)
