"""One stack outside of releases: made with consent, left alone when it is right, and nothing left behind of a no."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from fake_cloud import FakeCloud

from deployer.cloudformation.port import ChangeSet, StackRequest
from deployer.deploying.results import StackOutcome, StackResult
from deployer.deploying.single_stack import bring_up
from deployer.errors import DataopsError
from deployer.pauses import Pauses

NAME = "shop-pipeline-uat"


def request(topic: str = "one") -> StackRequest:
    resources = {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": topic}}}
    return StackRequest("pipeline", NAME, json.dumps({"Resources": resources}), {}, {})


def bring(
    cloud: FakeCloud, wanted: StackRequest | None = None, *, approve: Callable[[ChangeSet], bool] = lambda _: True
) -> StackResult | None:
    return bring_up(cloud, wanted or request(), Pauses(0.0), approve=approve, say=lambda text: None)


def test_it_is_made_once_and_then_left_alone() -> None:
    """Given no stack, when it is brought up twice, then the second time changes nothing and leaves no change set."""
    cloud = FakeCloud()
    first, second = bring(cloud), bring(cloud)
    assert first is not None and second is not None
    assert (first.outcome, second.outcome) == (StackOutcome.DONE, StackOutcome.UNCHANGED)
    assert cloud.status(NAME) == "CREATE_COMPLETE" and cloud.left_behind == []


def test_a_change_is_shown_before_it_is_made() -> None:
    """Given a stack, when other properties are asked for, then the change is shown to whoever decides, and then made."""
    cloud, shown = FakeCloud(), list[str]()
    bring(cloud)

    def approve(change_set: ChangeSet) -> bool:
        shown.extend(str(change["LogicalResourceId"]) for change in change_set.changes)
        return True

    result = bring(cloud, request("two"), approve=approve)
    assert result is not None and result.outcome is StackOutcome.DONE
    assert shown == ["Topic"] and cloud.status(NAME) == "UPDATE_COMPLETE"


def test_a_no_leaves_nothing() -> None:
    """Given a new stack and a changed one, when the answer is no, then neither a change set nor an empty stack stays."""
    cloud = FakeCloud()
    assert bring(cloud, approve=lambda _: False) is None
    assert cloud.status(NAME) is None and cloud.left_behind == []
    bring(cloud)
    assert bring(cloud, request("two"), approve=lambda _: False) is None
    assert cloud.status(NAME) == "CREATE_COMPLETE" and cloud.left_behind == []


def test_a_failure_names_its_cause() -> None:
    """Given a resource that cannot be made, when the stack is brought up, then the error has the reason."""
    cloud = FakeCloud()
    cloud.fails(NAME, resource="Topic", reason="the provider is there already")
    with pytest.raises(DataopsError, match="the provider is there already"):
        bring(cloud)
