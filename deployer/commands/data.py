"""dataops data: maintain the published tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import click
from refunds_lake.publishing.manifests import Manifest, in_force

from deployer.composition.environment import deployed_resources, lake_of
from deployer.documents import as_document
from deployer.errors import Refused
from deployer.lake import published_tables
from deployer.lake.catalog_definitions import create_missing, definitions_of
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples, yes_option

KEEP_DAYS = 30


@dataclass(frozen=True)
class RecordedRun:
    """One run of the record, rollbacks among them."""

    run_id: str  #: its id
    kind: str  #: as in `dataops run`, or `rollback`
    started_at: datetime  #: when it began
    finished_at: datetime  #: when it ended
    files: int  #: raw objects read
    counts: Mapping[str, int]  #: as in `dataops run`
    note: str  #: what a rollback undid
    in_force: bool  #: false: a rollback has undone it


@dataclass(frozen=True)
class RunsResult:
    """The recorded runs."""

    env: str  #: the environment
    runs: tuple[RecordedRun, ...]  #: newest first


@dataclass(frozen=True)
class CatalogResult:
    """The catalog after its repair."""

    env: str  #: the environment
    created: tuple[str, ...]  #: databases and tables (`database.table`) that were missing
    months: Mapping[str, int]  #: how many months of each table are in the catalog


@dataclass(frozen=True)
class RollbackResult:
    """The run that records the rollback; without one, nothing was changed."""

    env: str  #: the environment
    rolled_back: bool  #: false: nothing was changed
    run_id: str | None = None  #: the run that records the rollback
    kind: str | None = None  #: `rollback`
    started_at: datetime | None = None  #: when it began
    finished_at: datetime | None = None  #: when it ended
    files: int = 0  #: 0: a rollback reads no raw objects
    counts: Mapping[str, int] = field(default_factory=dict)  #: 0 of each
    note: str = ""  #: what it undid
    undone: tuple[str, ...] = ()  #: the runs that are no longer in force


@dataclass(frozen=True)
class SweepResult:
    """The files that were superseded for long enough."""

    env: str  #: the environment
    deleted: bool  #: false: they were only listed
    keys: tuple[str, ...]  #: files that nothing reads any more


@click.group()
def data() -> None:
    """Maintain the published tables: list runs, roll back, rebuild the catalog, sweep old files."""


def _tables(app: App, env_name: str) -> published_tables.LiveTables:
    return published_tables.live_tables(lake_of(app.connect(env_name)))


@data.command(epilog=examples("dataops data runs --env local"))
@env_option
@click.pass_obj
def runs(app: App, env_name: str) -> None:
    """List the recorded runs of the job and the rollbacks, newest first."""
    app.command = "data runs"
    manifests = published_tables.all_runs(_tables(app, env_name))
    standing = {each.run_id for each in in_force(manifests)}
    recorded = tuple(recorded_run(each, each.run_id in standing) for each in reversed(manifests))
    if not recorded:
        app.say(f"no run is recorded; next: dataops run --env {env_name}")
    app.emit(as_document(RunsResult(env_name, recorded)), "\n".join(map(run_line, recorded)))


def recorded_run(manifest: Manifest, standing: bool) -> RecordedRun:
    """Return what the list shows of a run."""
    return RecordedRun(
        manifest.run_id,
        manifest.kind,
        manifest.started_at,
        manifest.finished_at,
        len(manifest.inputs),
        manifest.counts,
        manifest.note,
        standing,
    )


def run_line(run: RecordedRun) -> str:
    """Write a run as a line of text."""
    state = "in force" if run.in_force else "undone" if run.kind != "rollback" else ""
    read, kept = run.counts.get("read", 0), run.counts.get("kept", 0)
    return f"{run.run_id}  {run.kind:<12} {read:>12,} read {kept:>12,} kept  {state} {run.note}".rstrip()


@data.command("rebuild-catalog", epilog=examples("dataops data rebuild-catalog --env local"))
@env_option
@click.pass_obj
def rebuild_catalog(app: App, env_name: str) -> None:
    """Point every month in the catalog to its location in the run manifests, and drop all others.

    Databases and tables that are missing are created first, as the deployed templates declare them.
    """
    app.command = "data rebuild-catalog"
    session = app.connect(env_name)
    lake = lake_of(session)
    created = create_missing(lake.glue, definitions_of(deployed_resources(session)))
    if created:
        app.say(f"created: {', '.join(created)}")
    result = CatalogResult(env_name, created, published_tables.rebuild(published_tables.live_tables(lake)))
    text = ", ".join(f"{table} {count}" for table, count in result.months.items()) or "nothing is published"
    app.emit(as_document(result), f"the catalog agrees with the manifests; months: {text}")


@data.command(epilog=examples("dataops data rollback --env uat --run 20261101T020000Z-1a2b3c4d"))
@env_option
@click.option("--run", "run_id", required=True, metavar="RUN", help="The run to undo, together with every later one.")
@yes_option
@click.pass_obj
def rollback(app: App, env_name: str, run_id: str, yes: bool) -> int:
    """Point the tables back to the state before a run; this is recorded as a run."""
    app.command = "data rollback"
    tables = _tables(app, env_name)
    plan = published_tables.plan_rollback(tables, run_id)
    for line in published_tables.plan_lines(plan):
        app.say(line)
    if not app.confirm(f"roll the tables of {env_name} back?", yes=yes):
        app.emit(as_document(RollbackResult(env_name, rolled_back=False)), "nothing was changed")
        return Refused.exit_code
    manifest = published_tables.roll_back(tables, run_id)
    app.emit(
        as_document(_rolled_back(env_name, manifest, plan.undone)), f"rolled back, recorded as run {manifest.run_id}"
    )
    return 0


def _rolled_back(env_name: str, manifest: Manifest, undone: tuple[str, ...]) -> RollbackResult:
    run = recorded_run(manifest, standing=True)
    return RollbackResult(
        env_name,
        True,
        run.run_id,
        run.kind,
        run.started_at,
        run.finished_at,
        run.files,
        run.counts,
        run.note,
        undone,
    )


@data.command(epilog=examples("dataops data sweep --env uat --keep-days 30 --dry-run"))
@env_option
@click.option("--keep-days", type=click.IntRange(min=0), default=KEEP_DAYS, show_default=True, help="How long to keep.")
@click.option("--dry-run", is_flag=True, help="Only name what would be deleted.")
@yes_option
@click.pass_obj
def sweep(app: App, env_name: str, keep_days: int, dry_run: bool, yes: bool) -> None:
    """Delete files that newer runs have superseded; runs from that time can no longer be rolled back."""
    app.command = "data sweep"
    tables = _tables(app, env_name)
    keys = published_tables.sweep(tables, keep_days=keep_days, dry_run=True)
    question = f"delete {len(keys)} files that were superseded {keep_days} or more days ago?"
    deletes = bool(keys) and not dry_run and app.confirm(question, yes=yes)
    if deletes:
        keys = published_tables.sweep(tables, keep_days=keep_days, dry_run=False)
    for key in keys if dry_run or app.verbose else []:
        app.say(key)
    done = "deleted" if deletes else "could be deleted" if keys else "to delete"
    app.emit(as_document(SweepResult(env_name, deletes, tuple(keys))), f"{len(keys)} files {done}")
