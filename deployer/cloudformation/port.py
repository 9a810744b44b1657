"""The deployer's view of CloudFormation: frozen values and the one port through which everything acts.
How the calls are made is `aws.py`'s business; what to do with the answers is decided in plan.py, statuses.py, guards.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from deployer.errors import DataopsError

MAX_INLINE_TEMPLATE_BYTES = (
    51_200  # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
)
MAX_DESCRIBED_AT_ONCE = 8


@dataclass(frozen=True)
class StackState:
    """One stack as DescribeStacks reports it; times are ISO 8601 text, absent members are empty."""

    name: str
    stack_id: str
    status: str
    reason: str = ""
    last_updated: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    is_protected: bool = False
    drift: str = ""  # CloudFormation's word of its last detection, and when that was
    drift_checked: str = ""
    operations: tuple[str, ...] = ()  # ids of the last operations, newest first, without those of change sets


@dataclass(frozen=True)
class StackRequest:
    """Everything that is asked of one stack. Two equal digests ask for the same thing."""

    stack: str
    stack_name: str
    body: str = field(repr=False)
    parameters: Mapping[str, str] = field(repr=False)  # may hold NoEcho values: never printed
    tags: Mapping[str, str]
    capabilities: tuple[str, ...] = ()
    template_url: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 over template, parameters and tags: content only, where the template is stored does not count."""
        asked = [hashlib.sha256(self.body.encode()).hexdigest(), dict(self.parameters), dict(self.tags)]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class ChangeSet:
    """A change set with all of its pages; `changes` are the ResourceChange members as botocore returns them."""

    change_set_id: str
    stack_id: str
    status: str
    reason: str
    execution_status: str
    changes: tuple[Mapping[str, Any], ...] = ()
    drift_status: str = ""  # of the whole stack, when drift is to be reverted
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)  # NoEcho values are masked

    @property
    def is_settled(self) -> bool:
        return self.status in ("CREATE_COMPLETE", "FAILED", "DELETE_COMPLETE", "DELETE_FAILED")

    @property
    def has_nothing_to_do(self) -> bool:
        """AWS says this in two texts and no code."""
        texts = ("didn't contain changes", "No updates are to be performed")
        return self.status == "FAILED" and any(text in self.reason for text in texts)


@dataclass(frozen=True)
class StackEvent:
    """One line of a stack's event log."""

    event_id: str
    logical_id: str
    resource_type: str
    status: str
    reason: str = ""
    physical_id: str = ""
    timestamp: str = ""
    token: str = ""

    @property
    def is_about_the_stack(self) -> bool:
        return self.resource_type == "AWS::CloudFormation::Stack" and self.physical_id.startswith("arn:")


@dataclass(frozen=True)
class OperationError:
    """One failure of an operation: an early validation, a resource that could not be made, a hook that said no.

    `path` is where in the template, as a JSON pointer; `check` names the validation or the hook.
    """

    operation: str
    logical_id: str
    resource_type: str
    reason: str
    path: str = ""
    check: str = ""
    is_warning: bool = False
    timestamp: str = ""


@dataclass(frozen=True)
class Drift:
    """One resource that no longer is what its template says."""

    logical_id: str
    resource_type: str
    status: str
    differences: tuple[tuple[str, str, str], ...] = ()  # (property path, expected, actual)


class AlreadyThere(DataopsError):
    """This was done before, perhaps by an earlier attempt of ours whose answer was lost."""


class Cloud(Protocol):
    """CloudFormation in one account and region. Every write carries a token, so a retried call acts once."""

    def describe(self, stack: str) -> StackState | None:
        """Return the stack with this name or id; None if there is none (a deleted one counts as none)."""

    def template_body(self, stack: str, *, change_set: str = "") -> str:
        """Return the template as it was submitted, with the stack or with one of its change sets."""

    def create_change_set(self, request: StackRequest, *, name: str, creates: bool, reverts_drift: bool = False) -> str:
        """Request a change set and return its id. The cloud may still be computing it. Raise AlreadyThere for a taken name.

        One that reverts drift compares the template with what is there, not with what was deployed last.
        """

    def change_set(self, change_set_id: str) -> ChangeSet:
        """Return the change set with all its pages."""

    def delete_change_set(self, change_set_id: str) -> None:
        """Delete a change set; one that no longer exists is fine."""

    def change_sets(self, stack: str) -> Sequence[tuple[str, str]]:
        """Return (id, name) of every change set of a stack."""

    def execute_change_set(self, change_set_id: str, *, token: str, creates: bool) -> None:
        """Start a change set. A failed creation keeps nothing that it created, including retained types.

        Raise AlreadyThere when it was started before.
        """

    def events(self, stack: str, *, after: str | None = None) -> Sequence[StackEvent]:
        """Return the events in order of time, those after the event id `after`."""

    def errors(self, *, stack: str = "", change_set: str = "") -> Sequence[OperationError]:
        """Return what failed or warned in a stack's operations, or while a change set was computed, in order of time (by full id)."""

    def roll_back(self, stack: str, *, token: str) -> None:
        """Call RollbackStack: from CREATE_FAILED or UPDATE_FAILED to the last stable state."""

    def continue_rollback(self, stack: str, *, token: str) -> None:
        """Call ContinueUpdateRollback, from UPDATE_ROLLBACK_FAILED."""

    def protect(self, stack: str) -> None:
        """Turn termination protection on: the stack cannot be deleted until it is turned off."""

    def delete_stack(self, stack: str, *, token: str) -> None:
        """Start the deletion."""

    def resources(self, stack: str) -> Mapping[str, str]:
        """Return physical ids by logical id."""

    def detect_drift(self, stack: str) -> str:
        """Start drift detection and return its id."""

    def drift_detection_status(self, detection_id: str) -> tuple[str, str]:
        """Return (status, reason) of a drift detection."""

    def drifts(self, stack: str) -> Sequence[Drift]:
        """Return the resources that are not in sync, from the last detection."""


def describe_all(cloud: Cloud, stack_names: Mapping[str, str]) -> dict[str, StackState | None]:
    """Return the state of every stack by its name in dataops.yml, with one parallel call for each."""
    with ThreadPoolExecutor(max_workers=MAX_DESCRIBED_AT_ONCE) as pool:
        return dict(zip(stack_names, pool.map(cloud.describe, stack_names.values()), strict=True))
