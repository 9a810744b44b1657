"""Promotion by proof: which release may be promoted, and why another may not. Pure decisions over facts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deployer.cloudformation.port import StackState
from deployer.ledger.ledger import Current, DeployRun
from deployer.release.release import short


@dataclass(frozen=True)
class Evidence:
    """What is known about the environment that a release comes from."""

    environment: str
    current: Current | None
    states: Mapping[str, StackState | None]
    now: dt.datetime
    max_age_days: int
    wanted: str | None = None  # the start of a release id, when the operator names one


def refusals(evidence: Evidence) -> tuple[str, ...]:
    """Return every reason not to promote; empty when the release has proven itself."""
    name, current = evidence.environment, evidence.current
    if current is None:
        return (f"nothing was deployed to {name}",)
    reasons = []
    if evidence.wanted and not current.release.startswith(evidence.wanted):
        reasons.append(
            f"release {short(evidence.wanted)} is not deployed in {name}, which now has {short(current.release)}"
        )
    if current.outcome != "done":
        reasons.append(f"the last deployment to {name} ended as {current.outcome}")
    if current.smoke is None:
        reasons.append(f"release {short(current.release)} has no smoke test in {name}")
    elif not current.smoke.passed:
        reasons.append(f"its smoke test in {name} ended as {current.smoke.outcome}: {current.smoke.message}")
    reasons += [f"stack {stack} of {name} {what}" for stack, what in _touched(current, evidence.states)]
    age = evidence.now - dt.datetime.fromisoformat(current.deployed_at)
    if age > dt.timedelta(days=evidence.max_age_days):
        reasons.append(
            f"it passed in {name} {age.days} days ago; the limit is {evidence.max_age_days} days (release_max_age_days)"
        )
    return tuple(reasons)


def _touched(current: Current, states: Mapping[str, StackState | None]) -> list[tuple[str, str]]:
    """Return the stacks that are no longer as the deployment left them, with what has changed."""
    found = []
    for stack, record in sorted(current.stacks.items()):
        state = states.get(stack)
        if state is None:
            found.append((stack, "is gone"))
        elif not record.matches(state, record.digest):
            found.append((stack, f"was changed since it was tested ({state.status} at {state.last_updated})"))
    return found


def previous_release(current: str | None, runs: Sequence[DeployRun]) -> str | None:
    """Return the newest release before the current one that was deployed and not found wrong; runs are newest first."""
    for run in runs:
        release = run.end.get("release") if run.end else None
        if release and release != current and run.outcome == "done":
            return str(release)
    return None
