"""dataops replay: judge rejected records again, after the job or its settings were mended."""

from __future__ import annotations

import click

from deployer.app import App
from deployer.options import env_option, examples


@click.command(
    epilog=examples(
        "dataops replay --env uat",
        "dataops replay --env uat --reason amount_invalid",
    )
)
@env_option
@click.option("--reason", metavar="REASON", help="Only records rejected for this reason, as in rejected.reasons.")
@click.pass_obj
def replay(app: App, env_name: str, reason: str | None) -> int:
    """Judge rejected records again: their raw objects are read once more under the deployed job.

    The totals change by exactly what is no longer rejected.
    """
    from deployer.environment import lake_of
    from deployer.load import load, load_document, load_lines, replay_arguments

    arguments = replay_arguments(reason)
    done = load(lake_of(app.connect(env_name)), arguments, say=app.say, say_log=app.say if app.verbose else None)
    nothing = (
        "nothing was rejected" + (f" for the reason {reason}" if reason else "") + ", or none of it can be read again"
    )
    lines = load_lines(done)
    app.emit({"env": env_name, **load_document(done)}, "\n".join([nothing, *lines[1:]] if not done.manifest else lines))
    return 0
