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
    """How to reach the local cloud; all fields but `running` and `state` are null while it is not running."""

    running: bool  #: it answers
    state: Path  #: the directory of its state
    ministack_version: str | None = None  #: the emulator's version
    url: str | None = None  #: where it answers
    pid: int | None = None  #: its process
    region: str | None = None  #: of every request
    access_key_id: str | None = None  #: what to sign requests with
    secret_access_key: str | None = None  #: what to sign requests with
    ports: Mapping[str, int] | None = None  #: every port that it may listen on, by name
    api_url: str | None = None  #: where the API answers; null where none is deployed
    instance: str | None = None  #: identifies this start
    code: str | None = None  #: fingerprint of its code
    slack: str | None = None  #: the page with the messages that would have gone to Slack


@dataclass(frozen=True)
class LocalStop:
    """Whether the local cloud was stopped."""

    stopped: bool  #: false: it was not running


@dataclass(frozen=True)
class LocalReset:
    """Whether everything in the local cloud was deleted."""

    reset: bool  #: false: nothing was deleted


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
