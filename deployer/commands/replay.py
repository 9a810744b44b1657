"""dataops replay: validate rejected records again, after a fix of the job or its settings."""

from __future__ import annotations

from dataclasses import dataclass

import click

from deployer.commands.run import load_watched
from deployer.composition.environment import lake_of
from deployer.documents import as_document
from deployer.errors import UsageError
from deployer.lake.delivery.redelivery import Redelivery, deliver_again
from deployer.lake.load_text import replay_lines
from deployer.lake.loads import replay_arguments
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples


@click.command(
    epilog=examples(
        "dataops replay --env uat",
        "dataops replay --env uat --reason amount_invalid",
        "dataops replay --env uat --delivery-errors",
    )
)
@env_option
@click.option("--reason", metavar="REASON", help="Only records rejected for this reason, as in rejected.reasons.")
@click.option(
    "--delivery-errors", is_flag=True, help="Put the records that Firehose could not deliver onto the stream again."
)
@click.pass_obj
def replay(app: App, env_name: str, reason: str | None, delivery_errors: bool) -> None:
    """Validate rejected records again: the deployed job reads their raw objects once more.

    The totals change by exactly what is no longer rejected. With --delivery-errors, records that Firehose could not
    deliver are put onto the stream again, each object once.
    """
    if delivery_errors:
        if reason is not None:
            raise UsageError("--reason cannot be used with --delivery-errors", hint="leave out one of them")
        result = ReplayedDeliveries(env_name, tuple(deliver_again(lake_of(app.connect(env_name)), app.say)))
        app.emit(as_document(result), redelivery_text(result))
        return
    arguments = replay_arguments(reason)
    done = load_watched(app, env_name, arguments)
    app.emit(as_document(done), "\n".join(replay_lines(done, reason)))


@dataclass(frozen=True)
class ReplayedDeliveries:
    """What is on the stream again, after Firehose could not deliver it."""

    env: str  #: the environment
    objects: tuple[Redelivery, ...]  #: each object that was delivered again


def redelivery_text(result: ReplayedDeliveries) -> str:
    """Write one line about what was delivered again."""
    if not result.objects:
        return "there are no records that Firehose could not deliver"
    records = sum(each.records for each in result.objects)
    return f"{records:,} records of {len(result.objects)} objects on the stream again"
