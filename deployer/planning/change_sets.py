"""The change sets of one run: made under unique names, waited for, and deleted if they are not executed.
What to ask for and what the answer means is decided in planner.py and stack_change.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from deployer.cloudformation.failures import Warn, change_set_failed, change_set_warnings
from deployer.cloudformation.port import AlreadyThere, ChangeSet, Cloud, StackRequest
from deployer.cloudformation.root_cause import Cause, request_refused
from deployer.cloudformation.waiting import await_change_set
from deployer.errors import DataopsError, Refused
from deployer.pauses import Pauses
from deployer.project.templates import parse_template
from deployer.release.target import Target

MASKED = "****"  # what CloudFormation shows of a NoEcho value


class ChangeSets:
    """One change set per stack at most; the plan's is used again when the request is still the same."""

    def __init__(
        self, cloud: Cloud, target: Target, pauses: Pauses, warn: Warn, *, run: str, reverts_drift: bool = False
    ) -> None:
        self._cloud, self._target, self._pauses, self._warn = cloud, target, pauses, warn
        self._run, self._reverts_drift = run, reverts_drift
        self._open: dict[str, tuple[str, str]] = {}  # stack -> (digest of the request, id)
        self._settled: dict[str, ChangeSet] = {}
        self._names: set[str] = set()
        self._guard = threading.Lock()

    def ask_for(self, request: StackRequest, *, creates: bool) -> ChangeSet:
        """Return the change set of a request, when CloudFormation has computed it. One with nothing to do is deleted at once.

        Raise DataopsError, with the place in the template, for a request that CloudFormation refuses.
        """
        stack = request.stack
        digest, known = self._open.get(stack, ("", ""))
        if known and digest == request.digest and stack in self._settled:
            return self._settled[stack]
        if known:
            self.discard(stack)
        made = self._make(request, self._name(request, creates=creates), creates=creates)
        self._open[stack] = (request.digest, made)
        change_set = self._settled[stack] = await_change_set(self._cloud, made, self._pauses)
        if change_set.has_nothing_to_do:
            self.discard(stack)
        elif change_set.status != "CREATE_COMPLETE":
            error = change_set_failed(self._cloud, stack, change_set, self._target.templates[stack], self._warn)
            self.discard(stack)  # only now: its events go with it
            raise error
        return change_set

    def warnings(self, stack: str, change_set: ChangeSet) -> tuple[Cause, ...]:
        """Return what CloudFormation's validation warns of in a change set that can be executed."""
        return change_set_warnings(self._cloud, stack, change_set, self._target.templates[stack], self._warn)

    def _name(self, request: StackRequest, *, creates: bool) -> str:
        if creates and request.stack == self._target.artifacts_stack:
            return f"dataops-first-{request.digest[:16]}"  # no lock can exist yet: whoever comes second meets this name
        name = change_set_name(self._run, request.stack)
        with self._guard:
            name += "-again" if name in self._names else ""
            self._names.add(name)
        return name

    def _make(self, request: StackRequest, name: str, *, creates: bool) -> str:
        """Return the id of our change set, also when an earlier try has made it."""
        reverts = self._reverts_drift and not creates
        try:
            return self._cloud.create_change_set(request, name=name, creates=creates, reverts_drift=reverts)
        except AlreadyThere:
            known = {called: found for found, called in self._cloud.change_sets(request.stack_name)}
            if name not in known:
                raise
            self._require_ours(request, known[name])
            return known[name]
        except DataopsError as error:
            raise request_refused(request.stack, error, self._target.templates[request.stack]) from error

    def _require_ours(self, request: StackRequest, change_set: str) -> None:
        """Refuse a change set under our name that asks for something else: whoever may plan may also make one.

        CloudFormation would execute it with the rights of whoever deploys.
        """
        body = self._cloud.template_body(request.stack_name, change_set=change_set)
        given = self._cloud.change_set(change_set).parameters
        same = parse_template(body, Path(request.stack)).document == self._target.templates[request.stack].document
        others = [name for name, value in request.parameters.items() if given.get(name, value) not in (value, MASKED)]
        if not same or others:
            raise Refused(
                f"a change set of stack {request.stack} has our name but {'different parameters' if same else 'a different template'}",
                where=change_set,
                hint="it was created by someone else: find out by whom, delete it, and run the same command again",
            )

    def mark_executed(self, stack: str) -> None:
        """Leave the change set to CloudFormation from now on."""
        self._open.pop(stack, None)
        self._settled.pop(stack, None)

    def discard(self, stack: str) -> None:
        _, change_set = self._open.pop(stack)
        self._settled.pop(stack, None)
        discard(self._cloud, [change_set])

    def discard_all(self) -> None:
        ids = [change_set for _, change_set in self._open.values()]
        self._open.clear()
        self._settled.clear()
        discard(self._cloud, ids)


def change_set_name(run: str, stack: str) -> str:
    """Return unique per run, so that two deploys never meet in one name; CloudFormation wants a letter first."""
    return f"dataops-{run}-{stack}"


def discard(cloud: Cloud, change_sets: Iterable[str]) -> None:
    """Delete change sets; report the first failure after all were tried."""
    failures = []
    for change_set in change_sets:
        try:
            cloud.delete_change_set(change_set)
        except DataopsError as error:
            failures.append(error)
    if failures:
        raise DataopsError(
            f"could not delete a change set: {failures[0]}",
            hint="it has no effect unless it is executed; delete it in the CloudFormation console",
        )
