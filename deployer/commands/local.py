"""``dataops local``: the local cloud's state, its end, and a fresh start.

``deploy`` starts it; nothing here talks to AWS or reads dataops.yml.
"""

from __future__ import annotations

from dataclasses import asdict

import click

from deployer import local
from deployer.app import App
from deployer.local.paths import LocalPaths
from deployer.options import examples


@click.group("local")
def local_group() -> None:
    """The local cloud of this checkout."""


@local_group.command("status", epilog=examples("dataops local status", "dataops local status --output json"))
@click.pass_obj
def status(app: App) -> None:
    """Say whether it runs, and where: URL, region, credentials, ports."""
    endpoint = local.find(app.project_dir)
    state = str(LocalPaths.of(app.project_dir).root)
    if endpoint is None:
        app.emit(
            {"running": False, "state": state}, "the local cloud is not running; `dataops deploy --env local` starts it"
        )
        return
    ports = ", ".join(f"{name} {port}" for name, port in endpoint.ports.items())
    text = "\n".join(
        (
            f"running at {endpoint.url} (process {endpoint.pid}, MiniStack {endpoint.version})",
            f"region {endpoint.region}, access key {endpoint.access_key_id}, secret {endpoint.secret_access_key}",
            f"ports {ports} on 127.0.0.1",
            f"state in {state}",
        )
    )
    fields = asdict(endpoint)
    app.emit({"running": True, "state": state, "ministack_version": fields.pop("version"), **fields}, text)


@local_group.command("stop", epilog=examples("dataops local stop"))
@click.pass_obj
def stop(app: App) -> None:
    """End it; everything in it is kept."""
    stopped = local.stop(app.project_dir)
    app.emit({"stopped": stopped}, "stopped" if stopped else "it was not running")


@local_group.command("reset", epilog=examples("dataops local reset --yes"))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reset(app: App, yes: bool) -> None:
    """End it and delete everything in it."""
    if not app.confirm("delete all data, tables and stacks of the local cloud?", yes=yes):
        app.emit({"reset": False}, "nothing was deleted")
        return
    local.reset(app.project_dir)
    app.emit({"reset": True}, "the local cloud is empty")
