"""`dataops status`: the release and the stacks of an environment as they are now."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from deployer.options import env_option, examples

if TYPE_CHECKING:
    from deployer.app import App
    from deployer.cloud import StackState
    from deployer.promotion import Evidence


@click.command(epilog=examples("dataops status --env local", "dataops status --env prod --output json"))
@env_option
@click.pass_obj
def status(app: App, /, env_name: str) -> None:
    """Show the release, its verdict, every stack, what to do about a stuck one, and who holds the lock."""
    from deployer.assembly import evidence_of, lock_owner

    session = app.connect(env_name)
    evidence = evidence_of(session, 0, None)
    owner = lock_owner(session, evidence)
    stacks = [_stack(stack, state, evidence) for stack, state in evidence.states.items()]
    current = evidence.current.document() if evidence.current else None
    lock = asdict(owner) if owner else None
    locked = f"\nlocked by {owner.describe(time.time())}" if owner else ""
    document = {"environment": env_name, "current": current, "stacks": stacks, "lock": lock}
    app.emit(document, _text(env_name, evidence, stacks) + locked)


def _stack(stack: str, state: StackState | None, evidence: Evidence) -> dict[str, Any]:
    from deployer.statuses import row_of

    record = evidence.current.stacks.get(stack) if evidence.current else None
    row = row_of(state.status if state else None)
    return {
        "stack": stack,
        "name": state.name if state else None,
        "status": state.status if state else "not deployed",
        "last_updated": state.last_updated if state else None,
        "reason": state.reason if state else "",
        "as_recorded": bool(record and state and record.matches(state, record.digest)),
        "way_out": row.way_out,
    }


def _text(env_name: str, evidence: Evidence, stacks: list[dict[str, Any]]) -> str:
    from deployer.release import short, short_commit

    current = evidence.current
    if current is None:
        head = f"environment {env_name}: nothing is recorded as deployed"
    else:
        smoke = str(current.smoke.outcome) if current.smoke else "not run"
        head = (
            f"environment {env_name}: release {short(current.release)} ({current.outcome}), smoke test {smoke}, "
            f"since {current.deployed_at}" + (f", commit {short_commit(current.commit)}" if current.commit else "")
        )
    lines = [head]
    for stack in stacks:
        changed = (
            ""
            if stack["as_recorded"] or not stack["name"] or current is None
            else "  changed since the last deployment"
        )
        lines.append(f"  {stack['stack']:<16} {stack['status']}{changed}")
        lines += [f"  {'':<16} {stack['reason']}"] * bool(stack["reason"]) + [
            f"  {'':<16} -> {stack['way_out']}"
        ] * bool(stack["way_out"])
    return "\n".join(lines)
