"""dataops ingest: deliver files through a real route."""

from __future__ import annotations

from pathlib import Path

import click

from deployer.app import App
from deployer.options import env_option, examples

# The names alone, so that --help imports neither boto3 nor the routes; a test holds them equal to routes.ROUTES.
ROUTE_NAMES = ("s3", "stream")


@click.command(
    epilog=examples(
        "dataops ingest --env local sample/*",
        "dataops ingest --env uat --route stream today.jsonl.gz --wait",
    )
)
@env_option
@click.option(
    "--route",
    type=click.Choice(ROUTE_NAMES),
    default="s3",
    show_default=True,
    help="s3: as the partner, through the cross-account role. stream: one record a line onto the stream.",
)
@click.option("--wait", is_flag=True, help="With --route stream: wait until the records are in the raw bucket.")
@click.option("--wait-seconds", type=click.IntRange(min=1), default=1200, show_default=True, help="How long at most.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.pass_obj
def ingest(app: App, env_name: str, route: str, wait: bool, wait_seconds: int, files: tuple[Path, ...]) -> int:
    """Deliver FILEs: JSON Lines (.json, .jsonl, .ndjson) or CSV (.csv), each plain or .gz, or Parquet (.parquet).

    All files are checked first; if one of them cannot be delivered, none is. The raw bucket is append-only: the same
    content again on the same day is skipped.
    """
    from deployer.delivery import size_text
    from deployer.environment import lake_of
    from deployer.errors import UsageError
    from deployer.ingest import checked_files
    from deployer.routes import ROUTES
    from deployer.stream import stream_keys, wait_for_stream

    if wait and route != "stream":
        raise UsageError(f"--wait has no meaning with --route {route}", hint="files are there when the command ends")
    app.environment(env_name)
    checked = checked_files(files)
    session = app.connect(env_name)
    lake = lake_of(session)
    before = stream_keys(lake) if wait else set()
    deliveries = ROUTES[route](session, lake, checked, app.say)
    records = sum(delivery.records or 0 for delivery in deliveries)
    if wait:
        wait_for_stream(lake, before, records, say=app.say, timeout_seconds=wait_seconds)

    new = [delivery for delivery in deliveries if delivery.is_new]
    size = size_text(sum(delivery.file.size_bytes for delivery in new))
    known = f"; {len(deliveries) - len(new)} were there already" if len(new) < len(deliveries) else ""
    text = f"{len(new)} files delivered by route {route}, {size}{known}"
    if route == "stream":
        arrival = "all are in the raw bucket" if wait else "Firehose writes them to the raw bucket within its interval"
        text = f"{records:,} records of {len(new)} files on the stream; {arrival}"
    app.say(f"next: dataops run --env {env_name}")
    document = {"route": route, "files": [delivery.document() for delivery in deliveries]}
    app.emit({"env": env_name, **document}, text)
    return 0
