"""`dataops drift`: what was changed outside dataops."""

from __future__ import annotations

import datetime as dt

import click

from deployer.app import App
from deployer.assembly import stoppable
from deployer.aws_services import AwsServices
from deployer.drift import expired, find_drift, require_deployed, with_known
from deployer.environment import cloud_of, evidence_of
from deployer.options import env_option, examples
from deployer.pauses import Pauses

DRIFTED = 3


@click.command(epilog=examples("dataops drift --env prod", "dataops drift --env prod --output json"))
@env_option
@click.pass_obj
def drift(app: App, /, env_name: str) -> int:
    """Find what was changed outside dataops, also what CloudFormation does not look at.

    Known differences stand in dataops.yml under drift_ignore, with a reason and a last day. Exit code 3: there is drift.
    """
    session = app.connect(env_name)
    session.verify_identity()
    evidence = evidence_of(session, 0, None)
    require_deployed(evidence.states, env_name)
    services, pauses = AwsServices(session.client("glue"), session.client("s3")), Pauses()
    with stoppable(pauses):
        found = find_drift(cloud_of(session), services, evidence.states, evidence.current, pauses)
    today, ignores = dt.datetime.now(dt.UTC).date(), session.environment.drift_ignore
    findings = with_known(found, ignores, today)
    for text in expired(ignores, today):
        app.say(text)
    open_ones = [finding for finding in findings if not finding.ignored]
    plural = "" if len(open_ones) == 1 else "s"
    head = f"{len(open_ones)} difference{plural}" if open_ones else "no drift"
    if known := len(findings) - len(open_ones):
        head += f", {known} known"
    app.emit(
        {"environment": env_name, "drifted": bool(open_ones), "findings": [f.document() for f in findings]},
        "\n".join([*map(str, findings), f"environment {env_name}: {head}"]),
    )
    if open_ones:
        app.say(f"next: dataops plan --env {env_name} --revert-drift shows what a deployment with it would bring back")
    return DRIFTED if open_ones else 0
