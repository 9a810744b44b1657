"""dataops ingest: deliver files by one of the routes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from deployer.composition.environment import lake_of
from deployer.documents import as_document
from deployer.errors import UsageError
from deployer.lake.delivery.delivery import Delivery, RefusedLine, size_text
from deployer.lake.delivery.files import checked_files
from deployer.lake.delivery.pull import PULLING, pull
from deployer.lake.delivery.routes import ON_THE_STREAM, ROUTES
from deployer.lake.delivery.sftp import deliver_sftp
from deployer.lake.delivery.stream import stream_keys, wait_for_stream
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples


@dataclass(frozen=True)
class IngestResult:
    """What became of each file."""

    env: str  #: the environment
    route: str  #: the route
    files: tuple[Delivery, ...]  #: in the order of delivery


@click.command(
    epilog=examples(
        "dataops ingest --env local sample/*",
        "dataops ingest --env uat --route sftp --user acme --key acme_ed25519 today.csv",
        "dataops ingest --env uat --from s3://partner-exports/refunds/",
        "dataops ingest --env uat --route stream today.jsonl.gz --wait",
        "dataops ingest --env uat --route api today.jsonl",
    )
)
@env_option
@click.option(
    "--route",
    type=click.Choice(list(ROUTES)),
    default="s3",
    show_default=True,
    help="s3: as the partner, with the cross-account role. stream: each line as one record of the stream. "
    "third-party: as the tool, under the file's own name. api: JSON Lines, in calls of up to 500 records. "
    "sftp: as a user of the SFTP server.",
)
@click.option("--user", metavar="NAME", help="With --route sftp: the user; the local cloud has one of its own.")
@click.option(
    "--key", metavar="FILE", type=click.Path(path_type=Path), help="With --route sftp: the user's private key."
)
@click.option(
    "--from",
    "source",
    metavar="s3://BUCKET/PREFIX",
    help="With --route s3 or third-party, instead of FILEs: copy the objects there that were not copied before.",
)
@click.option("--wait", is_flag=True, help="With --route stream or api: wait until the records are in the raw bucket.")
@click.option(
    "--wait-seconds", type=click.IntRange(min=1), default=1200, show_default=True, help="The longest time to wait."
)
@click.argument("files", nargs=-1, metavar="FILE...", type=click.Path(path_type=Path))
@click.pass_obj
def ingest(
    app: App,
    env_name: str,
    route: str,
    user: str | None,
    key: Path | None,
    source: str | None,
    wait: bool,
    wait_seconds: int,
    files: tuple[Path, ...],
) -> None:
    """Deliver FILEs: JSON Lines (.json, .jsonl, .ndjson) or CSV (.csv), each plain or .gz, or Parquet (.parquet).

    All files are checked first; if one cannot be delivered, none is. The raw bucket is append-only: on route s3,
    content that was already delivered on the same day is skipped. A tool's file with the same name is a new version.
    """
    if wait and route not in ON_THE_STREAM:
        raise UsageError(
            f"--wait cannot be used with --route {route}", hint="the files have arrived when the command ends"
        )
    if (user or key) and route != "sftp":
        raise UsageError(f"--user and --key cannot be used with --route {route}", hint="they belong to --route sftp")
    if source is not None and (route not in PULLING or files):
        hint = f"use --from without files, with --route {' or '.join(PULLING)}"
        raise UsageError("--from copies objects from a bucket and takes no FILEs", hint=hint)
    if source is None and not files:
        raise UsageError("nothing to deliver", hint="give files, or a bucket with --from s3://BUCKET/PREFIX")
    app.environment(env_name)
    checked = checked_files(files)
    session = app.connect(env_name)
    lake = lake_of(session)
    before = stream_keys(lake) if wait else set()
    deliver = partial(deliver_sftp, user=user, key=key) if route == "sftp" else ROUTES[route]
    delivered = pull(session, lake, route, source, app.say) if source else deliver(session, lake, checked, app.say)
    result = IngestResult(env_name, route, tuple(delivered))
    if wait:
        records = sum(delivery.records or 0 for delivery in result.files)
        wait_for_stream(lake, before, records, say=app.say, timeout_seconds=wait_seconds)
    app.say(f"next: dataops run --env {env_name}")
    app.emit(as_document(result), ingest_text(result, waited=wait))


def ingest_text(result: IngestResult, *, waited: bool) -> str:
    """Write one line about what was delivered, and one for each refused line."""
    new = [delivery for delivery in result.files if delivery.delivered]
    if result.route in ON_THE_STREAM:
        records = sum(delivery.records or 0 for delivery in new)
        arrival = (
            "all are in the raw bucket" if waited else "Firehose writes them to the raw bucket within its interval"
        )
        refused = [f"{file.file}:{line_text(line)}" for file in result.files for line in file.refused]
        count = f", {len(refused):,} lines refused" if refused else ""
        return "\n".join((f"{records:,} records of {len(new)} files on the stream{count}; {arrival}", *refused))
    known = f"; {len(result.files) - len(new)} had been delivered before" if len(new) < len(result.files) else ""
    size = size_text(sum(delivery.bytes for delivery in new))
    return f"{len(new)} files delivered by route {result.route}, {size}{known}"


def line_text(refused: RefusedLine) -> str:
    """Write the place and the reasons, as compilers do."""
    reasons = (f"{each.reason} ({each.field})" if each.field else each.reason for each in refused.reasons)
    return f"{refused.line}: {', '.join(reasons)}"
