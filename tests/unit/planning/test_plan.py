"""The plan: all layers, nothing left behind, and a saved one that knows when it is stale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from deployments import TEMPLATES, World

from deployer.cloudformation.port import StackRequest
from deployer.deploying.results import DeployOutcome
from deployer.documents import as_document
from deployer.errors import DataopsError, Refused
from deployer.pauses import Interrupted, Pauses
from deployer.planning.plan import Plan, Step, StepKind
from deployer.planning.plan_text import plan_text
from deployer.planning.resource_changes import Action, PropertyChange, ResourceChange


@pytest.fixture
def deployed(tmp_path: Path) -> World:
    world = World(tmp_path / "project")
    world.deploy()
    world.forget_calls()
    return world


def saved(world: World) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(as_document(world.plan())))
    return document


def test_new_stacks_are_planned_without_a_write(tmp_path: Path) -> None:
    """Given an empty account, when we plan, then every layer is in the plan, what cannot be known is said, nothing is written."""
    world = World(tmp_path)
    plan = world.plan()
    assert [step.kind for step in plan.steps] == [StepKind.CREATE] * 4
    assert plan.step("job").unknown == ("DataName",)
    assert world.cloud.writes == []
    assert world.store.calls == []


def test_a_plan_of_changes_leaves_nothing_behind(deployed: World) -> None:
    """Given a changed release, when we plan, then the change set that was asked for is deleted."""
    deployed.write("job.py", "print(2)\n")
    plan = deployed.plan()
    assert [step.stack for step in plan.steps if step.acts] == ["job"]
    assert deployed.cloud.writes == ["create_change_set", "delete_change_set"]
    assert deployed.cloud.left_behind == []
    assert deployed.store.puts == []


def test_the_last_line_tells_what_is_replaced_from_what_may_be(deployed: World) -> None:
    """Given a change set that replaces, and a layer whose change nobody can know yet, then each is counted as what it is."""
    deployed.edit("templates/store.yaml", 'Type: "AWS::S3::Bucket"', 'Type: "AWS::SNS::Topic"')
    deployed.cloud.replaces("shop-uat-store", "Data")
    last = plan_text(deployed.plan()).splitlines()[-1]
    assert last.endswith("1 replaced, 2 may be replaced")


def test_old_and_new_values_are_shown(deployed: World) -> None:
    """Given a changed script, then the plan's text shows the property with its old and its new value."""
    deployed.write("job.py", "print(2)\n")
    lines = plan_text(deployed.plan()).splitlines()
    assert "~ job: update" in lines
    assert "    ~ Job  AWS::Glue::Job" in lines
    assert lines[-1] == "plan: 1 of 4 stacks, 0 to add, 1 to change, 0 to remove"


def test_a_plan_that_fails_leaves_nothing_behind(deployed: World) -> None:
    """Given a change set that CloudFormation refuses beside one that it makes, when we plan, then both are deleted."""
    deployed.write("job.py", "print(2)\n")
    deployed.edit("templates/report.yaml", "TopicName: !Ref DataName", "TopicName: other")
    deployed.cloud.refuses("shop-uat-report", "no such thing")
    with pytest.raises(DataopsError, match="no such thing"):
        deployed.plan()
    assert deployed.cloud.left_behind == []


def test_an_interrupted_plan_leaves_nothing_behind(deployed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given Ctrl-C or SIGTERM while change sets are computed, then they are deleted all the same."""
    deployed.write("job.py", "print(2)\n")
    pauses = Pauses()
    ports = deployed.ports()
    monkeypatch.setattr(deployed, "ports", lambda: type(ports)(**{**vars(ports), "pauses": pauses}))
    deployed.cloud.after_call = lambda name: pauses.stop() if name == "create_change_set" else None
    monkeypatch.setattr("deployer.planning.change_sets.await_change_set", lambda cloud, made, p: p.check())
    with pytest.raises(Interrupted):
        deployed.plan()
    assert deployed.cloud.left_behind == []


def test_a_saved_plan_is_carried_out(deployed: World) -> None:
    """Given a saved plan and an unchanged world, when it is deployed, then exactly it is done."""
    deployed.write("job.py", "print(2)\n")
    plan = saved(deployed)
    assert deployed.deploy(saved_plan=plan).outcome is DeployOutcome.DONE
    assert deployed.cloud.executed == ["job"]


def _another_release(world: World) -> None:
    world.write("job.py", "print(3)\n")


def _by_hand(world: World) -> None:
    world.cloud.touch("shop-uat-store")


def _somebody_deployed(world: World) -> None:
    text = (world.directory / "job.py").read_text()
    world.write("job.py", "print(4)\n")
    world.deploy()
    world.write("job.py", text)


def _new_stack(world: World) -> None:
    world.write(
        "dataops.yml", (world.directory / "dataops.yml").read_text() + "  more: {template: templates/report.yaml}\n"
    )


def _tags(world: World) -> None:
    world.edit("dataops.yml", 'uat: {account: "111111111111"', 'uat: {tags: {Team: x}, account: "111111111111"')


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_another_release, "the release is "),
        (_by_hand, "stack store was CREATE_COMPLETE since .*, it is UPDATE_COMPLETE since "),
        (_somebody_deployed, "is deployed now, before it was "),
        (_new_stack, "stack more is new"),
        (_tags, "the template, parameters or tags of stack base have changed"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_stale_plan_is_refused_and_says_why(deployed: World, change: Any, why: str) -> None:
    """Given a saved plan, when something has changed since, then it is refused, the reason is told, nothing is done."""
    deployed.write("job.py", "print(2)\n")
    plan = saved(deployed)
    change(deployed)
    deployed.cloud.executed.clear()
    with pytest.raises(Refused, match=why):
        deployed.deploy(saved_plan=plan)
    assert deployed.cloud.executed == []
    assert deployed.cloud.left_behind == []


def test_a_replaced_parent_makes_the_child_known_after_apply(deployed: World) -> None:
    """Given an update that replaces what an output is about, then the stacks that take the output are planned as unknown."""
    deployed.edit("templates/store.yaml", "Retain}", "Retain, Properties: {BucketName: other}}")
    deployed.cloud.replaces("shop-uat-store", "Data")
    plan = deployed.plan()
    assert plan.step("job").unknown == ("DataName",)
    assert "known after apply: DataName" in plan_text(plan)


def test_a_big_template_is_stored_before_its_change_set(deployed: World) -> None:
    """Given a template too big to be sent inline, when we plan or deploy, then CloudFormation finds it under its hash."""
    deployed.write("templates/report.yaml", TEMPLATES["report"] + "# " + "x" * 60_000 + "\n")
    urls: list[str | None] = []
    stored_first: list[bool] = []
    make = deployed.cloud.create_change_set

    def asked(request: StackRequest, *, name: str, creates: bool, reverts_drift: bool = False) -> str:
        urls.append(request.template_url)
        stored_first.append(any(key.endswith("/report.yaml") for key in deployed.store.puts))
        return make(request, name=name, creates=creates)

    deployed.cloud.create_change_set = asked  # type: ignore[method-assign]
    deployed.plan()
    key = deployed.target().template_file("report").key
    assert urls == [f"https://s3.eu-west-1.amazonaws.com/artifacts/{key}"]
    assert stored_first == [True]
    assert deployed.deploy().outcome is DeployOutcome.DONE


def test_two_long_values_are_shown_where_they_differ(tmp_path: Path) -> None:
    """Given two texts that differ far from their start, then the plan shows the place, and cuts what is the same."""
    same = "select customer_id, sum(amount) from refund " * 5
    long = PropertyChange("QueryString", same + "where old", same + "where new and " + "x" * 200)
    short = PropertyChange("Name", "old", "new")
    change = ResourceChange(Action.MODIFY, "Query", "AWS::Athena::NamedQuery", properties=(short, long))
    text = plan_text(Plan("uat", "r", "r", (Step("athena", "athena", StepKind.UPDATE, changes=(change,)),)))
    assert "Name: old -> new" in text
    (line,) = (line.strip() for line in text.splitlines() if "QueryString" in line)
    before, after = line.removeprefix("QueryString: ").split(" -> ")
    assert before == "...sum(amount) from refund where old"
    assert after.startswith("...sum(amount) from refund where new and xxx")
    assert after.endswith("x...") and len(after) == 106
