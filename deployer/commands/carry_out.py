"""What deploy, promote and rollback share: carrying out a request as the operator chose, with consent, to its end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from deployer.composition.deployments import roll_back_after
from deployer.composition.ports import ports_of, stoppable
from deployer.deploying.deployment import Deployment
from deployer.deploying.request import DeployRequest, Ports
from deployer.deploying.results import DeployOutcome, DeployResult
from deployer.documents import as_document
from deployer.errors import DataopsError
from deployer.pauses import Deadline, Pauses
from deployer.planning.plan import Plan
from deployer.planning.plan_text import plan_text, summary
from deployer.release.release import short
from deployer.release.target import Target
from deployer.terminal.app import App
from deployer.terminal.choices import Choices, OnSmokeFailure
from deployer.terminal.deployment_text import failure_of, result_text
from deployer.terminal.progress import progress_of

if TYPE_CHECKING:
    from deployer.aws.session import Session


def carry_out(app: App, session: Session, target: Target, request: DeployRequest, choices: Choices) -> int:
    """Deploy a target as the operator chose, and return the exit code."""
    request = _with_choices(app, request, choices)
    pauses, progress = Pauses(deadline=Deadline(choices.timeout_seconds)), progress_of(app, ndjson=choices.events)
    ports = ports_of(session, progress, pauses, with_smoke=not choices.no_smoke)
    try:
        with stoppable(pauses):
            result = Deployment(ports, target, request).run()
            if choices.on_smoke_failure is OnSmokeFailure.ROLLBACK and result.smoke and result.smoke.is_wrong:
                _roll_back(app, session, result, request, ports)
    finally:
        progress.close()
    return tell(app, result, events=choices.events)


def _with_choices(app: App, request: DeployRequest, choices: Choices) -> DeployRequest:
    return replace(
        request,
        options=replace(request.options, recreate=choices.recreate, allow_replace=choices.allow_replace),
        approve=_consent(app, request.command, yes=choices.yes or request.saved_plan is not None),
        lock_timeout_seconds=choices.lock_timeout_seconds,
        if_busy=choices.if_busy,
    )


def _roll_back(app: App, session: Session, result: DeployResult, request: DeployRequest, ports: Ports) -> None:
    """Roll back after a wrong answer and report how that ends; the wrong answer stays the command's result."""
    try:
        back = roll_back_after(session, result, request, ports, app.say)
    except DataopsError as error:
        app.say(f"not rolled back: {error}" + (f"; {error.hint}" if error.hint else ""))
        return
    if back.outcome in (DeployOutcome.DONE, DeployOutcome.UNCHANGED):
        app.say(f"rolled back to release {short(back.release)}")
    else:
        why = back.error or f"smoke test: {back.smoke or 'not run'}"
        app.say(f"the rollback to release {short(back.release)} ended as {back.outcome.value}: {why}")


def _consent(app: App, command: str, *, yes: bool) -> Callable[[Plan], bool]:
    other_way = ", or --plan FILE after dataops plan --out FILE" if command == "deploy" else ""

    def approve(plan: Plan) -> bool:
        app.say(plan_text(plan) if not yes or app.verbose else _in_short(plan))
        question = f"change environment {plan.environment}?"
        return app.confirm(question, yes=yes, hint=f"the plan is above; to carry it out, use --yes{other_way}")

    return approve


def _in_short(plan: Plan) -> str:
    lines = [f"environment {plan.environment}, release {short(plan.release)}: {summary(plan)}"]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in plan.warnings)])


def tell(app: App, result: DeployResult, *, events: bool) -> int:
    """Print the result and return the exit code; failures are raised, so that their last line is the root cause."""
    if events:
        sys.stdout.write(json.dumps({"version": 1, "event": "Result", **as_document(result)}) + "\n")
    else:
        app.emit(as_document(result), result_text(result))
    if error := failure_of(result):
        raise error
    return 6 if result.outcome is DeployOutcome.DECLINED else 0
