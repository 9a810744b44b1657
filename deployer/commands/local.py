"""``dataops local``: show, stop or reset the local cloud.

``deploy`` starts it; nothing here talks to AWS or reads dataops.yml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from deployer import local
from deployer.documents import as_document
from deployer.local import Endpoint
from deployer.local.paths import LocalPaths
from deployer.project.config import LOCAL, Environment, Project
from deployer.terminal.app import App
from deployer.terminal.options import examples, yes_option


@dataclass(frozen=True)
class LocalStatus:
    """Whether the local cloud is running, where its state is, and how to reach it; null if it is not running.

    `slack` is the page of the messages that Slack would have got.
    """

    running: bool
    state: Path
    ministack_version: str | None = None
    url: str | None = None
    pid: int | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    ports: Mapping[str, int] | None = None
    api_url: str | None = None
    instance: str | None = None
    code: str | None = None
    slack: str | None = None


@dataclass(frozen=True)
class LocalStop:
    """Whether it ran."""

    stopped: bool


@dataclass(frozen=True)
class LocalReset:
    """Whether everything was deleted."""

    reset: bool


@click.group("local")
def local_group() -> None:
    """Show, stop or reset the local cloud of this checkout."""


@local_group.command("status", epilog=examples("dataops local status", "dataops local status --output json"))
@click.pass_obj
def status(app: App) -> None:
    """Show whether the local cloud is running, and its URL, region, credentials and ports."""
    found = local_status(app)
    app.emit(as_document(found), status_text(found))


def local_status(app: App) -> LocalStatus:
    """Return how to reach the local cloud of a checkout."""
    endpoint, state = local.find(app.project_dir), LocalPaths.of(app.project_dir).root
    if endpoint is None:
        return LocalStatus(running=False, state=state)
    known = {**vars(endpoint), "api_url": api_url(app, endpoint)}
    slack = f"{endpoint.url}{local.SLACK_PAGE}"
    return LocalStatus(running=True, state=state, ministack_version=known.pop("version"), slack=slack, **known)


def api_url(app: App, endpoint: Endpoint) -> str | None:
    """Return the address of the API; None if none is deployed."""
    project = Project("local", app.project_dir, {}, {}, {})
    environment = Environment("local", region=endpoint.region, endpoint=LOCAL)
    session = app.connect_to(project, environment, start_local=False)
    pages = session.client("cloudformation").get_paginator("describe_stacks").paginate()
    outputs = (each for page in pages for stack in page["Stacks"] for each in stack.get("Outputs", ()))
    return next((str(each["OutputValue"]) for each in outputs if each["OutputKey"] == "ApiUrl"), None)


def status_text(found: LocalStatus) -> str:
    """Write how to reach the local cloud."""
    if not found.running:
        return "the local cloud is not running; `dataops deploy --env local` starts it"
    ports = ", ".join(f"{name} {port}" for name, port in (found.ports or {}).items())
    return "\n".join(
        (
            f"running at {found.url} (process {found.pid}, MiniStack {found.ministack_version})",
            f"region {found.region}, access key {found.access_key_id}, secret {found.secret_access_key}",
            f"ports {ports} on 127.0.0.1",
            f"API at {found.api_url or '(none is deployed)'}",
            f"Slack messages are shown at {found.slack}",
            f"state in {found.state}",
        )
    )


@local_group.command("stop", epilog=examples("dataops local stop"))
@click.pass_obj
def stop(app: App) -> None:
    """Stop the local cloud and keep all its data."""
    result = LocalStop(local.stop(app.project_dir))
    app.emit(as_document(result), "stopped" if result.stopped else "it was not running")


@local_group.command("reset", epilog=examples("dataops local reset --yes"))
@yes_option
@click.pass_obj
def reset(app: App, yes: bool) -> None:
    """Stop the local cloud and delete all its data."""
    result = LocalReset(app.confirm("delete all data, tables and stacks of the local cloud?", yes=yes))
    if result.reset:
        local.reset(app.project_dir)
    app.emit(as_document(result), "the local cloud is empty" if result.reset else "nothing was deleted")
