"""An in-memory CloudFormation and an in-memory bucket for unit tests, with a vocabulary of their own.

Stacks change at once; a test asks for what AWS does slowly, wrongly or not at all: `fails`, `declare_stack`,
`stale_reads`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from deployer.cloudformation.port import (
    AlreadyThere,
    ChangeSet,
    Cloud,
    Drift,
    OperationError,
    StackEvent,
    StackRequest,
    StackState,
)
from deployer.ledger.store import RecordStore, Stored
from deployer.project.templates import parse_template


@dataclass
class _Stack:
    state: StackState
    body: str = "Resources: {Nothing: {Type: 'AWS::SNS::Topic'}}"
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    events: list[StackEvent] = field(default_factory=list)


@dataclass
class _ChangeSet:
    change_set: ChangeSet
    request: StackRequest
    name: str
    creates: bool


class FakeCloud(Cloud):
    """The fake; `calls` are the names of all calls in order, `writes` those that change something."""

    READS = frozenset(
        {
            "describe",
            "template_body",
            "change_set",
            "change_sets",
            "events",
            "errors",
            "drifts",
            "drift_detection_status",
            "resources",
        }
    )

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.executed: list[str] = []
        self.before_call: Callable[[str], None] = lambda name: None
        self.after_call: Callable[[str], None] = lambda name: None
        self.stale_reads = 0
        self.reverting: list[str] = []  # stacks whose change sets revert drift
        self.live_changes: dict[str, list[dict[str, object]]] = {}  # the changes of a change set that reverts drift
        self.told: dict[str, list[OperationError]] = {}  # events of operations, by the stack's name
        self.physical_ids: dict[str, str] = {}  # by logical id, where they matter
        self.detection = ("DETECTION_COMPLETE", "")
        self.drifted: dict[str, list[Drift]] = {}
        self.after_execution: Callable[[str], None] = lambda stack: None
        self._stacks: dict[str, _Stack] = {}
        self._change_sets: dict[str, _ChangeSet] = {}
        self._failures: dict[str, tuple[str, str, str]] = {}
        self._refusals: dict[str, str] = {}
        self._replacements: dict[str, str] = {}
        self._stale: dict[str, tuple[int, StackState | None]] = {}
        self._clock = 0
        self._guard = threading.RLock()

    # The vocabulary.

    def declare_stack(
        self,
        name: str,
        *,
        status: str = "CREATE_COMPLETE",
        outputs: dict[str, str] | None = None,
        body: str | None = None,
        protected: bool = False,
    ) -> StackState:
        """Let such a stack exist."""
        state = StackState(
            name, f"arn:{name}", status, last_updated=self._now(), outputs=outputs or {}, is_protected=protected
        )
        self._stacks[name] = _Stack(state)
        if body:
            self._stacks[name].body = body
        return state

    def fails(self, name: str, *, resource: str, reason: str, type: str = "AWS::SNS::Topic") -> None:
        """Let the next operations of that stack fail at this resource."""
        self._failures[name] = (resource, type, reason)

    def heals(self, name: str) -> None:
        self._failures.pop(name, None)

    def refuses(self, name: str, reason: str) -> None:
        """Let change sets of that stack end as FAILED."""
        self._refusals[name] = reason

    def replaces(self, name: str, logical_id: str) -> None:
        """Let the change set of that stack replace a resource."""
        self._replacements[name] = logical_id

    def touch(self, name: str) -> None:
        """Update the stack by hand, as somebody might."""
        stack = self._stacks[name]
        stack.state = replace(stack.state, status="UPDATE_COMPLETE", last_updated=self._now())

    def set_status(self, name: str, status: str) -> None:
        self._stacks[name].state = replace(self._stacks[name].state, status=status, last_updated=self._now())

    def status(self, name: str) -> str | None:
        return self._stacks[name].state.status if name in self._stacks else None

    @property
    def writes(self) -> list[str]:
        return [call for call in self.calls if call not in self.READS]

    @property
    def left_behind(self) -> list[str]:
        """Change sets, and stacks that exist only for the sake of one."""
        return [
            c.name for c in self._change_sets.values() if not c.change_set.execution_status.startswith("EXECUTE_")
        ] + [name for name, stack in self._stacks.items() if stack.state.status == "REVIEW_IN_PROGRESS"]

    # The port.

    def describe(self, stack: str) -> StackState | None:
        with self._call("describe"):
            found = self._find(stack)
            left, old = self._stale.get(found.state.name if found else stack, (0, None))
            if left:
                self._stale[found.state.name if found else stack] = (left - 1, old)
                return old
            return found.state if found else None

    def template_body(self, stack: str, *, change_set: str = "") -> str:
        with self._call("template_body"):
            if change_set:
                return self._change_sets[change_set].request.body
            found = self._find(stack)
            assert found is not None
            return found.body

    def create_change_set(self, request: StackRequest, *, name: str, creates: bool, reverts_drift: bool = False) -> str:
        with self._call("create_change_set"):
            if reverts_drift:
                self.reverting.append(request.stack)
            stack = self._stacks.get(request.stack_name)
            if creates and stack and stack.state.status != "REVIEW_IN_PROGRESS":
                raise AlreadyThere(f"stack {request.stack_name} exists")
            if not creates and (stack is None or stack.state.status not in UPDATABLE):
                raise AssertionError(f"AWS would refuse to update {request.stack_name}")
            made = f"arn:changeset:{request.stack_name}:{name}"
            if made in self._change_sets:
                raise AlreadyThere(f"change set {name} exists")
            if stack is None:
                stack = _Stack(StackState(request.stack_name, f"arn:{request.stack_name}", "REVIEW_IN_PROGRESS"))
                self._stacks[request.stack_name] = stack
            computed = self._computed(made, request, stack, creates, reverts_drift)
            computed = replace(computed, parameters=dict(request.parameters))
            self._change_sets[made] = _ChangeSet(computed, request, name, creates)
            return made

    def change_set(self, change_set_id: str) -> ChangeSet:
        with self._call("change_set"):
            return self._change_sets[change_set_id].change_set

    def delete_change_set(self, change_set_id: str) -> None:
        with self._call("delete_change_set"):
            self._change_sets.pop(change_set_id, None)

    def change_sets(self, stack: str) -> Sequence[tuple[str, str]]:
        with self._call("change_sets"):
            found = self._find(stack)
            return [
                (made, c.name)
                for made, c in self._change_sets.items()
                if found and c.request.stack_name == found.state.name
            ]

    def execute_change_set(self, change_set_id: str, *, token: str, creates: bool) -> None:
        with self._call("execute_change_set"):
            wanted = self._change_sets[change_set_id]
            if wanted.change_set.execution_status != "AVAILABLE":
                raise AlreadyThere("started already")
            name = wanted.request.stack_name
            for other in [
                i for i, c in self._change_sets.items() if c.request.stack_name == name and i != change_set_id
            ]:
                del self._change_sets[other]
            self._stale[name] = (self.stale_reads, self._stacks[name].state)
            self.executed.append(wanted.request.stack)
            self._operate(self._stacks[name], wanted)
            self.after_execution(name)

    def events(self, stack: str, *, after: str | None = None) -> Sequence[StackEvent]:
        with self._call("events"):
            found = self._find(stack)
            events = found.events if found else []
            ids = [event.event_id for event in events]
            return events[ids.index(after) + 1 :] if after in ids else list(events)

    def errors(self, *, stack: str = "", change_set: str = "") -> Sequence[OperationError]:
        with self._call("errors"):
            name = stack.removeprefix("arn:") or self._change_sets[change_set].request.stack_name
            return self.told.get(name, [])

    def roll_back(self, stack: str, *, token: str) -> None:
        with self._call("roll_back"):
            self._settle(stack, {"CREATE_FAILED", "UPDATE_FAILED"}, "UPDATE_ROLLBACK_COMPLETE")

    def continue_rollback(self, stack: str, *, token: str) -> None:
        with self._call("continue_rollback"):
            self._settle(stack, {"UPDATE_ROLLBACK_FAILED"}, "UPDATE_ROLLBACK_COMPLETE")

    def protect(self, stack: str) -> None:
        with self._call("protect"):
            found = self._find(stack)
            assert found is not None
            found.state = replace(found.state, is_protected=True)

    def delete_stack(self, stack: str, *, token: str) -> None:
        with self._call("delete_stack"):
            found = self._find(stack)
            assert found is not None
            del self._stacks[found.state.name]

    def resources(self, stack: str) -> dict[str, str]:
        with self._call("resources"):
            found = self._find(stack)
            assert found is not None
            names = parse_template(found.body, Path("x")).resources
            return {name: self.physical_ids.get(name, f"{found.state.name}-{name}") for name in names}

    def detect_drift(self, stack: str) -> str:
        with self._call("detect_drift"):
            return f"detection:{stack}"

    def drift_detection_status(self, detection_id: str) -> tuple[str, str]:
        with self._call("drift_detection_status"):
            return self.detection

    def drifts(self, stack: str) -> Sequence[Drift]:
        with self._call("drifts"):
            return self.drifted.get(stack.removeprefix("arn:"), [])

    # How it works.

    @contextmanager
    def _call(self, name: str) -> Iterator[None]:
        self.calls.append(name)
        self.before_call(name)
        with self._guard:
            yield
        self.after_call(name)

    def _now(self) -> str:
        self._clock += 1
        return f"2026-01-01T00:00:00.{self._clock:06}+00:00"

    def _find(self, stack: str) -> _Stack | None:
        return self._stacks.get(stack.removeprefix("arn:"))

    def _settle(self, stack: str, allowed: set[str], status: str) -> None:
        found = self._find(stack)
        assert found is not None and found.state.status in allowed, "AWS would refuse this call in this status"
        found.state = replace(found.state, status=status, last_updated=self._now())

    def _computed(
        self, made: str, request: StackRequest, stack: _Stack, creates: bool, reverts_drift: bool
    ) -> ChangeSet:
        if reason := self._refusals.get(request.stack_name):
            return ChangeSet(made, stack.state.stack_id, "FAILED", reason, "UNAVAILABLE")
        asked = (request.body, dict(request.parameters), dict(request.tags))
        by_hand = self.live_changes.get(request.stack_name, ()) if reverts_drift else ()
        if by_hand:
            return ChangeSet(made, stack.state.stack_id, "CREATE_COMPLETE", "", "AVAILABLE", tuple(by_hand), "DRIFTED")
        if not creates and asked == (stack.body, stack.parameters, stack.tags):
            reason = (
                "The submitted information didn't contain changes. Submit different information to create a change set."
            )
            return ChangeSet(made, stack.state.stack_id, "FAILED", reason, "UNAVAILABLE")
        before = {} if creates else parse_template(stack.body, Path(request.stack)).resources
        after = parse_template(request.body, Path(request.stack)).resources
        replaced = self._replacements.get(request.stack_name)
        changes = [
            {
                "Action": action,
                "LogicalResourceId": r.logical_id,
                "ResourceType": r.type,
                **({"Replacement": "True" if r.logical_id == replaced else "False"} if action == "Modify" else {}),
            }
            for action, rs in (
                ("Add", [after[n] for n in after if n not in before]),
                ("Remove", [before[n] for n in before if n not in after]),
                ("Modify", [after[n] for n in after if n in before]),
            )
            for r in rs
        ]
        return ChangeSet(made, stack.state.stack_id, "CREATE_COMPLETE", "", "AVAILABLE", tuple(changes))

    def _operate(self, stack: _Stack, wanted: _ChangeSet) -> None:
        request, verb = wanted.request, "CREATE" if wanted.creates else "UPDATE"
        self._event(stack, f"{verb}_IN_PROGRESS")
        if failure := self._failures.get(request.stack_name):
            resource, type_, reason = failure
            self._event(stack, f"{verb}_FAILED", resource, type_, reason)
            self._event(stack, f"{verb}_FAILED", "Other", type_, "Resource creation cancelled")
            status = "ROLLBACK_COMPLETE" if wanted.creates else "UPDATE_ROLLBACK_COMPLETE"
            stack.state = replace(stack.state, status=status, last_updated=self._now())
            wanted.change_set = replace(wanted.change_set, execution_status="EXECUTE_FAILED")
            return
        template = parse_template(request.body, Path(request.stack))
        stack.body, stack.parameters, stack.tags = request.body, dict(request.parameters), dict(request.tags)
        stack.state = replace(
            stack.state,
            status=f"{verb}_COMPLETE",
            last_updated=self._now(),
            parameters=dict(request.parameters),
            outputs={
                name: self._output(template.document["Outputs"][name]["Value"], request) for name in template.outputs
            },
        )
        wanted.change_set = replace(wanted.change_set, execution_status="EXECUTE_COMPLETE")
        self._event(stack, f"{verb}_COMPLETE")

    def _output(self, value: object, request: StackRequest) -> str:
        match value:
            case {"Ref": str(name)} if name in request.parameters:
                return request.parameters[name]
            case str():
                return value
            case _:
                return f"{request.stack_name}/{json.dumps(value)}"

    def _event(
        self, stack: _Stack, status: str, resource: str = "", type: str = "AWS::CloudFormation::Stack", reason: str = ""
    ) -> None:
        physical = "" if resource else "arn:" + stack.state.name
        stack.events.append(
            StackEvent(f"e{len(stack.events)}", resource or stack.state.name, type, status, reason, physical)
        )


UPDATABLE = {
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
}


class FakeStore(RecordStore):
    """One bucket; `puts` are the written keys."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.calls: list[str] = []
        self.before_call: Callable[[str], None] = lambda name: None
        self.after_call: Callable[[str], None] = lambda name: None
        self._guard = threading.RLock()

    def get(self, key: str) -> Stored | None:
        with self._call("get"):
            return Stored(self.objects[key], _etag(self.objects[key])) if key in self.objects else None

    def exists(self, key: str) -> bool:
        with self._call("exists"):
            return key in self.objects

    def create(self, key: str, body: bytes) -> str | None:
        with self._call("create"):
            return None if key in self.objects else self._put(key, body)

    def replace(self, key: str, body: bytes, etag: str) -> str | None:
        with self._call("replace"):
            return self._put(key, body) if key in self.objects and _etag(self.objects[key]) == etag else None

    def delete(self, key: str, etag: str) -> bool:
        with self._call("delete"):
            if key not in self.objects or _etag(self.objects[key]) != etag:
                return False
            del self.objects[key]
            return True

    def keys(self, prefix: str) -> Sequence[str]:
        with self._call("keys"):
            return sorted(key for key in self.objects if key.startswith(prefix))

    @contextmanager
    def _call(self, name: str) -> Iterator[None]:
        self.calls.append(name)
        self.before_call(name)
        with self._guard:
            yield
        self.after_call(name)

    def _put(self, key: str, body: bytes) -> str:
        self.objects[key] = body
        self.puts.append(key)
        return _etag(body)


def _etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
