"""dataops data: look after the published tables."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from deployer.app import App
from deployer.options import env_option, examples, yes_option

if TYPE_CHECKING:
    from deployer.upkeep import Tables

KEEP_DAYS = 30


@click.group()
def data() -> None:
    """Look after the published tables: list runs, roll back, rebuild the catalog, sweep old files."""


def _tables(app: App, env_name: str) -> Tables:
    from deployer.environment import lake_of
    from deployer.upkeep import live_tables

    return live_tables(lake_of(app.connect(env_name)))


def _agreed(app: App, question: str, *, yes: bool) -> bool:
    from deployer.errors import UsageError

    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on", hint="the same command with --yes")
    return click.confirm(question, err=True)


@data.command(epilog=examples("dataops data runs --env local"))
@env_option
@click.pass_obj
def runs(app: App, env_name: str) -> int:
    """List the recorded runs of the job and the rollbacks, newest first."""
    from refunds_lake.runs import in_force

    from deployer import upkeep

    app.command = "data runs"
    manifests = upkeep.all_runs(_tables(app, env_name))
    standing = {each.run_id for each in in_force(manifests)}
    if not manifests:
        app.say(f"no run is recorded; next: dataops run --env {env_name}")
    documents = [{**upkeep.run_document(each), "in_force": each.run_id in standing} for each in reversed(manifests)]
    lines = upkeep.run_lines(manifests, lambda each: each.run_id in standing)
    app.emit({"env": env_name, "runs": documents}, "\n".join(lines))
    return 0


@data.command("rebuild-catalog", epilog=examples("dataops data rebuild-catalog --env local"))
@env_option
@click.pass_obj
def rebuild_catalog(app: App, env_name: str) -> int:
    """Point every month of the catalog to where the run manifests say it is, and drop the others."""
    from deployer import upkeep

    app.command = "data rebuild-catalog"
    months = upkeep.rebuild(_tables(app, env_name))
    text = ", ".join(f"{table} {count}" for table, count in months.items()) or "nothing is published"
    app.emit({"env": env_name, "months": months}, f"the catalog shows what the manifests say, months: {text}")
    return 0


@data.command(epilog=examples("dataops data rollback --env uat --run 20261101T020000Z-1a2b3c4d"))
@env_option
@click.option("--run", "run_id", required=True, metavar="RUN", help="The run to undo, with every later one.")
@yes_option
@click.pass_obj
def rollback(app: App, env_name: str, run_id: str, yes: bool) -> int:
    """Point the tables back to what a run replaced; recorded as a run of its own."""
    from deployer import upkeep

    app.command = "data rollback"
    tables = _tables(app, env_name)
    plan = upkeep.planned_rollback(tables, run_id)
    for line in upkeep.plan_lines(plan):
        app.say(line)
    if not _agreed(app, f"roll the tables of {env_name} back?", yes=yes):
        app.emit({"env": env_name, "rolled_back": False}, "nothing was changed")
        return 6
    manifest = upkeep.roll_back(tables, run_id)
    document = {"env": env_name, "rolled_back": True, **upkeep.run_document(manifest), "undone": list(plan.undone)}
    app.emit(document, f"rolled back, recorded as run {manifest.run_id}")
    return 0


@data.command(epilog=examples("dataops data sweep --env uat --keep-days 30 --dry-run"))
@env_option
@click.option("--keep-days", type=click.IntRange(min=0), default=KEEP_DAYS, show_default=True, help="How long to keep.")
@click.option("--dry-run", is_flag=True, help="Only name what would be deleted.")
@yes_option
@click.pass_obj
def sweep(app: App, env_name: str, keep_days: int, dry_run: bool, yes: bool) -> int:
    """Delete files that newer runs have superseded; a rollback to before them is no longer possible then."""
    from deployer import upkeep

    app.command = "data sweep"
    tables = _tables(app, env_name)
    keys = upkeep.sweep(tables, keep_days=keep_days, dry_run=True)
    deletes = bool(keys) and not dry_run
    if deletes and not _agreed(app, f"delete {len(keys)} files that were superseded {keep_days} days ago?", yes=yes):
        deletes = False
    if deletes:
        keys = upkeep.sweep(tables, keep_days=keep_days, dry_run=False)
    for key in keys if dry_run or app.verbose else []:
        app.say(key)
    done = "deleted" if deletes else "could be deleted" if keys else "to delete"
    app.emit({"env": env_name, "deleted": deletes, "keys": keys}, f"{len(keys)} files {done}")
    return 0
