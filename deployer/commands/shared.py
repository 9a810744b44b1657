"""What deploy, promote and rollback share: choices into a request, consent, and how the end is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from deployer.assembly import ports_of, progress_of, stoppable
from deployer.deployment import Deployment
from deployer.errors import DataopsError, Refused, UsageError
from deployer.events import Progress
from deployer.pauses import Deadline, Pauses
from deployer.plan import Options, Plan
from deployer.plan_text import plan_text
from deployer.release import short
from deployer.request import DeployRequest, DeployResult, Ports
from deployer.target import Target
from deployer.verdict import Verdict

if TYPE_CHECKING:
    from deployer.app import App
    from deployer.session import Session


def carry_out(
    app: App,
    session: Session,
    target: Target,
    *,
    command: str,
    notes: Mapping[str, Any],
    saved_plan: Mapping[str, Any] | None,
    yes: bool,
    no_smoke: bool,
    on_smoke_failure: str,
    allow_replace: tuple[str, ...],
    recreate: tuple[str, ...],
    lock_timeout: float,
    timeout: float | None,
    if_busy: str,
    events: bool,
    revert_drift: bool = False,
    commit: Callable[[], str] = lambda: "",
) -> int:
    """Deploy a target as the operator chose; the exit code."""
    request = DeployRequest(
        command=command,
        options=Options(
            frozenset(recreate),
            frozenset(allow_replace),
            revert_drift or bool((saved_plan or {}).get("reverts_drift")),
        ),
        saved_plan=saved_plan,
        approve=_consent(app, command, yes=yes or saved_plan is not None),
        lock_timeout_seconds=lock_timeout,
        if_busy=if_busy,
        notes=notes,
        commit=commit,
    )
    pauses, progress = Pauses(deadline=Deadline(timeout)), progress_of(app, ndjson=events)
    ports = ports_of(session, progress, pauses, with_smoke=not no_smoke)
    try:
        with stoppable(pauses):
            report = Deployment(ports, target, request).run()
            if on_smoke_failure == "rollback" and report.smoke and report.smoke.is_wrong:
                _roll_back(app, session, report, replace(request, command="rollback", saved_plan=None), ports)
    finally:
        progress.close()
    return tell(app, report, progress, events=events)


def _roll_back(app: App, session: Session, report: DeployResult, request: DeployRequest, ports: Ports) -> None:
    """Roll back after a wrong answer. How that ends is said; the wrong answer stays the command's result."""
    from deployer.commands.rollback import roll_back_after

    try:
        back = roll_back_after(app, session, report, request, ports)
    except DataopsError as error:
        app.say(f"not rolled back: {error}" + (f"; {error.hint}" if error.hint else ""))
        return
    if back.outcome in ("done", "unchanged"):
        app.say(f"rolled back to release {short(back.release)}")
    else:
        why = back.error or f"smoke test: {back.smoke or 'not run'}"
        app.say(f"the rollback to release {short(back.release)} ended as {back.outcome}: {why}")


def _consent(app: App, command: str, *, yes: bool) -> Callable[[Plan], bool]:
    def approve(plan: Plan) -> bool:
        app.say(plan_text(plan) if not yes or app.verbose else _in_short(plan))
        if yes:
            return True
        if not sys.stdin.isatty():
            how = "--yes, or --plan FILE after dataops plan --out FILE" if command == "deploy" else "--yes"
            raise UsageError("there is no terminal to ask on", hint=f"the plan is above; to carry it out: {how}")
        return click.confirm(f"change environment {plan.environment}?", err=True)

    return approve


def _in_short(plan: Plan) -> str:
    from deployer.plan_text import summary

    lines = [f"environment {plan.environment}, release {short(plan.release)}: {summary(plan)}"]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in plan.warnings)])


def tell(app: App, report: DeployResult, progress: Progress, *, events: bool) -> int:
    """Print the result and give the exit code; failures are raised, so that their last line is the root cause."""
    if events:
        sys.stdout.write(json.dumps({"version": 1, "event": "Result", **report.document()}) + "\n")
    else:
        app.emit(report.document(), report_text(report))
    match report.outcome:
        case "done" | "unchanged":
            return 0
        case "declined":
            return 6
        case "refused":
            raise report.error or Refused("a guard refused it")
        case "smoke-failed" if report.smoke:
            raise report.smoke.error()
        case "interrupted":
            raise DataopsError(
                f"{report.error or 'interrupted'}; what CloudFormation had begun goes on",
                hint="run the same command again: it attaches to what is running",
            )
        case _:
            raise report.error or DataopsError("the deployment failed")


def report_text(report: DeployResult) -> str:
    """The end of a deployment as people read it."""
    release = f"release {short(report.release)}"
    if report.outcome == "unchanged":
        head = f"nothing to do: {release} is deployed in {report.environment} and nothing was changed since"
        return "\n".join([head, *smoke_lines(report.smoke)])
    if report.outcome == "declined":
        return "nothing was changed"
    by_outcome: dict[str, list[str]] = {}
    for result in report.results:
        by_outcome.setdefault(result.outcome.value, []).append(result.stack)
    lines = [f"{outcome}: {', '.join(stacks)}" for outcome, stacks in by_outcome.items()]
    lines += [*smoke_report(report.smoke), *smoke_lines(report.smoke)]
    verb = "deployed to" if report.outcome in ("done", "smoke-failed") else f"not deployed to ({report.outcome})"
    return "\n".join([*lines, f"{release} {verb} {report.environment} in {report.seconds:.1f} s"])


def smoke_report(smoke: Verdict | None) -> list[str]:
    """The refund report of the smoke tables, as the test found it."""
    if smoke is None or not smoke.rows:
        return []
    from deployer.report_formats import render_table

    return ["refund report of the smoke tables:", render_table(smoke.rows).rstrip("\n")]


def smoke_lines(smoke: Verdict | None) -> list[str]:
    return [f"smoke test: {smoke}"] if smoke else []
