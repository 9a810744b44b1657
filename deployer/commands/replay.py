"""dataops replay: judge rejected records again, after the job or its settings were mended."""

from __future__ import annotations

import click

from deployer.commands.run import load_watched
from deployer.documents import as_document
from deployer.lake.load_text import replay_lines
from deployer.lake.loads import replay_arguments
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples


@click.command(
    epilog=examples(
        "dataops replay --env uat",
        "dataops replay --env uat --reason amount_invalid",
    )
)
@env_option
@click.option("--reason", metavar="REASON", help="Only records rejected for this reason, as in rejected.reasons.")
@click.pass_obj
def replay(app: App, env_name: str, reason: str | None) -> None:
    """Judge rejected records again: their raw objects are read once more under the deployed job.

    The totals change by exactly what is no longer rejected.
    """
    arguments = replay_arguments(reason)
    done = load_watched(app, env_name, arguments)
    app.emit(as_document(done), "\n".join(replay_lines(done, reason)))
