"""`dataops drift`: find what was changed outside of dataops."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import click

from deployer.aws.services import AwsServices
from deployer.composition.environment import cloud_of, evidence_of
from deployer.composition.ports import stoppable
from deployer.documents import as_document
from deployer.pauses import Pauses
from deployer.planning.drift import DriftFinding, expired, find_drift, require_deployed, with_known
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples

DRIFTED = 3


@dataclass(frozen=True)
class DriftResult:
    """The differences of an environment."""

    environment: str  #: the environment
    drifted: bool  #: there is a difference that is not known
    findings: tuple[DriftFinding, ...]  #: every difference, known ones too


@click.command(epilog=examples("dataops drift --env prod", "dataops drift --env prod --output json"))
@env_option
@click.pass_obj
def drift(app: App, /, env_name: str) -> int:
    """Find what was changed outside of dataops, including what CloudFormation does not check.

    Known differences are listed in dataops.yml under drift_ignore, with a reason and a last day. Exit code 3: drift.
    """
    session = app.connect(env_name)
    session.verify_identity()
    evidence = evidence_of(session, 0, None)
    require_deployed(evidence.states, env_name)
    services = AwsServices(session.client("glue"), session.client("lambda"), session.client("s3"))
    pauses = Pauses()
    with stoppable(pauses):
        found = find_drift(cloud_of(session), services, evidence.states, evidence.current, pauses)
    today, ignores = dt.datetime.now(dt.UTC).date(), session.environment.drift_ignore
    for text in expired(ignores, today):
        app.say(text)
    findings = with_known(found, ignores, today)
    result = DriftResult(env_name, any(not finding.ignored for finding in findings), findings)
    app.emit(as_document(result), drift_text(result))
    if result.drifted:
        app.say(f"next: dataops plan --env {env_name} --revert-drift shows what a deployment with it would revert")
    return DRIFTED if result.drifted else 0


def drift_text(result: DriftResult) -> str:
    """Return a line for each difference, and their number."""
    known = sum(bool(finding.ignored) for finding in result.findings)
    unknown = len(result.findings) - known
    head = f"{unknown} difference{'' if unknown == 1 else 's'}" if unknown else "no drift"
    head += f", {known} known" if known else ""
    return "\n".join([*map(str, result.findings), f"environment {result.environment}: {head}"])
