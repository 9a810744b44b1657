"""`dataops promote`: deploy the release that has proven itself in one environment to the next, byte for byte."""

from __future__ import annotations

import click

from deployer.commands.carry_out import carry_out
from deployer.composition.environment import artifacts_store, evidence_of, release_target
from deployer.deploying.promotion import refusals
from deployer.deploying.request import DeployRequest
from deployer.documents import as_document
from deployer.errors import Refused, UsageError
from deployer.release.artifacts import fetch_release
from deployer.release.release import short
from deployer.terminal.app import App
from deployer.terminal.choices import Choices, guard_options
from deployer.terminal.options import env_option, examples


@click.command(epilog=examples("dataops promote --env prod", "dataops promote --env prod --release 3f1c09aa --yes"))
@env_option
@click.option(
    "--from", "source", metavar="NAME", help="Where the release passed; default: promotes_from in dataops.yml."
)
@click.option("--release", metavar="RELEASE", help="Require this release: refuse if another one is deployed there now.")
@guard_options
@click.pass_obj
def promote(app: App, /, env_name: str, source: str | None, release: str | None, choices: Choices) -> int:
    """Deploy the release that passed in another environment.

    Refused unless its deployment and smoke test passed there, nothing was changed there since, and it is recent enough.
    """
    environment = app.environment(env_name)
    source = source or environment.promotes_from
    if source is None or source == env_name:
        raise UsageError(
            f"it is not known where the release for {env_name} comes from",
            hint="--from NAME, or promotes_from in dataops.yml",
        )
    from_session, session = app.connect(source), app.connect(env_name)
    from_session.verify_identity()
    account = session.verify_identity()
    evidence = evidence_of(from_session, environment.release_max_age_days, release)
    if reasons := refusals(evidence):
        raise Refused(
            f"not promoted from {source} to {env_name}: " + "; ".join(reasons),
            hint=f"dataops deploy --env {source}, then promote again",
        )
    current = evidence.current
    assert current is not None and current.smoke is not None  # else there is a reason to refuse
    proven = fetch_release(artifacts_store(from_session), current.release)
    app.say(f"release {short(proven.id)} passed in {source}; the hashes of its {len(proven.files)} files are correct")
    request = DeployRequest(
        "promote",
        notes={
            "account": account,
            "region": session.region,
            "promoted_from": source,
            "proof": {"run": current.run, "smoke": as_document(current.smoke)},
        },
        commit=lambda: current.commit,
    )
    return carry_out(app, session, release_target(session, proven), request, choices)
