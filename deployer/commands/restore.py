"""dataops restore: restore deleted raw files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

import click

from deployer.composition.environment import lake_of
from deployer.deploying.events import Doing
from deployer.documents import as_document
from deployer.errors import Refused
from deployer.lake.deleted_files import PREFIX, Deletions, checked_prefix, find_deletions, restore_files
from deployer.lake.since import SINCE_HELP, moment_since
from deployer.ledger.identity import utc_now
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples, yes_option
from deployer.terminal.progress import progress_of


@dataclass(frozen=True)
class RestoreResult:
    """The files that were deleted since a moment."""

    env: str  #: the environment
    prefix: str  #: the prefix of the searched files
    since: datetime  #: the earliest deletion
    restored: bool  #: false: they were only listed
    files: tuple[str, ...]  #: keys of the raw files that were deleted
    lost: int  #: the number of files without any version left


@click.command(
    epilog=examples(
        "dataops restore --env prod --since 2h --dry-run",
        "dataops restore --env prod --since 2026-10-01T14:30 --prefix transactions/source=s3/",
    )
)
@env_option
@click.option("--since", required=True, metavar="WHEN", help=SINCE_HELP)
@click.option("--prefix", default=PREFIX, show_default=True, help="Only files whose keys begin with this.")
@click.option("--dry-run", is_flag=True, help="Only list the files that would be restored.")
@yes_option
@click.pass_obj
def restore(app: App, env_name: str, since: str, prefix: str, dry_run: bool, yes: bool) -> int:
    """Restore the raw files that were deleted since a moment, each with its original content and modification time.

    Files that were deleted earlier stay deleted. A file whose versions were deleted cannot be restored. Afterwards,
    `dataops run` reads those files that no run has read.
    """
    prefix, now = checked_prefix(prefix), utc_now()
    moment = moment_since(since, now)
    lake = lake_of(app.connect(env_name))
    found = find_deletions(lake, prefix, moment)
    for line in found_lines(found):
        app.say(line)
    for each in found.files if dry_run or app.verbose else ():
        app.say(each.key)
    restores = bool(found.files) and not dry_run
    if restores and not app.confirm(f"restore {len(found.files):,} files in {lake.raw_bucket}?", yes=yes):
        app.emit(as_document(_result(env_name, prefix, moment, found, restored=False)), "nothing was changed")
        return Refused.exit_code
    if restores:
        progress, began = progress_of(app), time.monotonic()
        try:
            restore_files(
                lake,
                found.files,
                lambda count: progress(
                    Doing(f"{count:,} of {len(found.files):,} files restored", time.monotonic() - began)
                ),
            )
        finally:
            progress.close()
        app.say(f"next: dataops run --env {env_name}")
    done = "restored" if restores else "could be restored" if found.files else "to restore"
    app.emit(
        as_document(_result(env_name, prefix, moment, found, restored=restores)), f"{len(found.files):,} files {done}"
    )
    return 0


def _result(env_name: str, prefix: str, moment: datetime, found: Deletions, *, restored: bool) -> RestoreResult:
    return RestoreResult(env_name, prefix, moment, restored, tuple(each.key for each in found.files), found.lost)


def found_lines(found: Deletions) -> list[str]:
    """Write when the files were deleted, and how many cannot be restored."""
    lines = []
    if found.files:
        times = [each.deleted_at for each in found.files]
        lines.append(f"deleted from {min(times):%Y-%m-%d %H:%M:%S} to {max(times):%Y-%m-%d %H:%M:%S} UTC")
    if found.lost:
        lines.append(f"{found.lost:,} files have no version left and cannot be restored")
    return lines
