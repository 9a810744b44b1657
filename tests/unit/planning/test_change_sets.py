"""A change set under our name is used only when it asks for what we ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from deployments import World

from deployer.cloudformation.port import StackRequest
from deployer.errors import Refused
from deployer.planning.change_sets import ChangeSets

OTHER = 'Resources: {Mine: {Type: "AWS::IAM::Role"}}'


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def first(world: World, **parameters: str) -> StackRequest:
    """What the first deployment asks for the stack of the artifacts."""
    target = world.target()
    return target.request(target.artifacts_stack, parameters, bucket=None)


def plant(world: World, request: StackRequest) -> str:
    """Somebody makes a change set under the name of the first deployment, which anybody can work out."""
    name = f"dataops-first-{first(world).digest[:16]}"
    return world.cloud.create_change_set(request, name=name, creates=True)


def ask(world: World) -> str:
    change_sets = ChangeSets(world.cloud, world.target(), world.ports().pauses, print, run="run")
    return change_sets.ask_for(first(world), creates=True).change_set_id


def test_what_an_earlier_try_made_is_used(world: World) -> None:
    """Given a change set of ours whose answer was lost, when it is asked for again, then it is the one that is used."""
    ours = plant(world, first(world))
    assert ask(world) == ours


def test_another_template_under_our_name_is_refused(world: World) -> None:
    """Given a change set under our name with another template, when we deploy, then it is refused and not executed."""
    planted = plant(world, replace(first(world), body=OTHER))
    with pytest.raises(Refused, match="a different template") as caught:
        ask(world)
    assert caught.value.where == planted
    (result, *_) = world.deploy().stacks
    assert "a different template" in str(result.error)
    assert world.cloud.executed == []


@pytest.mark.parametrize(("given", "refused"), [({"Size": "9"}, True), ({"Size": "****"}, False), ({}, False)])
def test_other_parameters_under_our_name_are_refused(world: World, given: Mapping[str, str], refused: bool) -> None:
    """Given our template with different parameters, when we deploy, then it is refused; what is masked cannot be compared."""
    world.edit("templates/base.yaml", "Resources:", "Parameters: {Size: {Type: String, Default: '1'}}\nResources:")
    request = first(world, Size="1")
    name = f"dataops-first-{request.digest[:16]}"
    world.cloud.create_change_set(replace(request, parameters=given), name=name, creates=True)
    change_sets = ChangeSets(world.cloud, world.target(), world.ports().pauses, print, run="run")
    if refused:
        with pytest.raises(Refused, match="different parameters"):
            change_sets.ask_for(request, creates=True)
    else:
        assert change_sets.ask_for(request, creates=True).status == "CREATE_COMPLETE"
