"""dataops run: start the Glue job, follow it and print its counts."""

from __future__ import annotations

from collections.abc import Mapping

import click

from deployer.composition.environment import lake_of
from deployer.deploying.events import Doing, Said
from deployer.documents import as_document
from deployer.lake.jobs import Watcher
from deployer.lake.load_text import load_lines
from deployer.lake.loads import Load, load, load_arguments
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples
from deployer.terminal.progress import progress_of


@click.command(
    epilog=examples(
        "dataops run --env local",
        "dataops run --env uat --full-refresh -v",
    )
)
@env_option
@click.option("--full-refresh", is_flag=True, help="Rebuild every table from all raw files.")
@click.option("--from", "from_month", metavar="YYYY-MM", help="The first month to rebuild; requires --to.")
@click.option("--to", "to_month", metavar="YYYY-MM", help="The last month to rebuild.")
@click.pass_obj
def run(app: App, env_name: str, full_refresh: bool, from_month: str | None, to_month: str | None) -> None:
    """Load new raw files into the base tables: start the job, follow it and print its counts."""
    arguments = load_arguments(full_refresh=full_refresh, from_month=from_month, to_month=to_month)
    done = load_watched(app, env_name, arguments)
    app.say(f"next: dataops report --env {env_name}")
    app.emit(as_document(done), "\n".join(load_lines(done)))


def load_watched(app: App, env_name: str, arguments: Mapping[str, str]) -> Load:
    """Run the job and show its progress; with -v its whole log."""
    lake, progress = lake_of(app.connect(env_name)), progress_of(app)
    watcher = Watcher(
        say=lambda text: progress(Said(text)),
        show=lambda text, seconds: progress(Doing(text, seconds)),
        say_line=app.say if app.verbose else None,
    )
    try:
        return load(lake, arguments, watcher)
    finally:
        progress.close()
