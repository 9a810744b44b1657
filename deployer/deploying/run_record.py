"""What the ledger keeps of one run: its start, its end, and what is deployed from then on; and the end of killed runs.
How records are stored is ledger.py's business.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

from deployer.deploying.events import Said
from deployer.deploying.request import DeployRequest, Ports
from deployer.deploying.results import DeployOutcome, DeployResult
from deployer.documents import as_document
from deployer.errors import DataopsError
from deployer.ledger.ledger import Current, Ledger
from deployer.ledger.lock import this_owner
from deployer.pauses import Interrupted
from deployer.planning.change_sets import discard
from deployer.planning.facts import PlanFacts
from deployer.planning.plan import Plan, StepKind
from deployer.version import VERSION


class RunRecord:
    """The records of one run."""

    def __init__(self, ports: Ports, ledger: Ledger, request: DeployRequest, run: str) -> None:
        self._ports, self._ledger, self._request, self._run = ports, ledger, request, run

    def sweep(self, facts: PlanFacts) -> None:
        """Give a killed run its end in the ledger, and delete the change sets that it left behind."""
        for run in self._ledger.unfinished():
            self._ports.progress(Said(f"run {run} was killed: cleaning up after it"))
            self._ledger.end(run, {"outcome": "killed", "noticed_by": self._run, "finished_at": self._now()})
            for state in filter(None, facts.states.values()):
                found = self._ports.cloud.change_sets(state.stack_id)
                discard(self._ports.cloud, [made for made, name in found if name.startswith(f"dataops-{run}-")])

    @contextmanager
    def keep(self, plan: Plan, facts: PlanFacts) -> Iterator[None]:
        """Record the start of the run in the ledger, and its end if it is interrupted."""
        self._ledger.start(self._run, self._start(plan, facts))
        try:
            yield
        except DataopsError as error:
            outcome = DeployOutcome.INTERRUPTED if isinstance(error, Interrupted) else DeployOutcome.FAILED
            with suppress(DataopsError):  # the first error is the one to tell
                self._ledger.end(self._run, {"outcome": outcome.value, "error": str(error), "finished_at": self._now()})
            raise

    def end(self, result: DeployResult) -> None:
        self._ledger.end(self._run, {"finished_at": self._now(), **as_document(result)})

    def set_deployed(self, facts: PlanFacts, result: DeployResult) -> Current:
        """Record what is deployed from now on: stacks of this run as it left them, the others as they were recorded."""
        before = facts.current.stacks if facts.current else {}
        records = {stack.stack: stack.record for stack in result.stacks if stack.record}
        smoke = result.smoke
        if smoke is None and facts.current is not None and facts.current.release == result.release:
            smoke = facts.current.smoke
        return self._ledger.set_current(
            Current(
                release=result.release,
                run=self._run,
                deployed_at=self._now(),
                outcome=(DeployOutcome.DONE if result.outcome is DeployOutcome.SMOKE_FAILED else result.outcome).value,
                commit=self._commit,
                stacks={**before, **records},
                smoke=smoke,
                promoted_from=str(self._request.notes.get("promoted_from", "")),
                etag=facts.current.etag if facts.current else None,
            )
        )

    def _start(self, plan: Plan, facts: PlanFacts) -> dict[str, Any]:
        owner = this_owner(self._run, 0.0)
        return {
            "command": self._request.command,
            "environment": plan.environment,
            "release": plan.release,
            "from_release": facts.current.release if facts.current else None,
            "plan_digest": plan.digest,
            "changes": {step.stack: step.kind.name.lower() for step in plan.steps if step.kind is not StepKind.NOTHING},
            "started_at": self._now(),
            "who": owner.who,
            "pipeline": owner.url,
            "dataops": VERSION,
            "commit": self._commit,
            **self._request.notes,
        }

    @cached_property
    def _commit(self) -> str:
        return self._request.commit()

    def _now(self) -> str:
        return _text(self._ports.now())


def _text(when: dt.datetime) -> str:
    return when.isoformat(timespec="seconds")
