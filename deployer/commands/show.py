"""`dataops show`: show one release, its files, and where and how it was deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from deployer.commands.history import history_text, recorded_run
from deployer.composition.environment import artifacts_store
from deployer.documents import as_document
from deployer.errors import DataopsError
from deployer.ledger.ledger import Current, Ledger
from deployer.release.artifacts import fetch_manifest, matching_release
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples


@dataclass(frozen=True)
class ShowResult:
    """One release: its manifest, and the runs that deployed it here."""

    environment: str  #: the environment
    release: str  #: its whole id
    is_live: bool  #: it is recorded as deployed
    manifest: Mapping[str, Any]  #: the release's manifest: every file with its SHA-256
    runs: tuple[Mapping[str, Any], ...]  #: the runs that deployed it here, as in `dataops history`


@click.command(epilog=examples("dataops show --env prod", "dataops show --env prod 3f1c09aa"))
@env_option
@click.argument("release", required=False)
@click.pass_obj
def show(app: App, /, env_name: str, release: str | None) -> None:
    """Show RELEASE, or the start of its id; default: the deployed one."""
    store = artifacts_store(app.connect(env_name))
    ledger = Ledger(store, env_name)
    current = ledger.current()
    found = matching_release(store, release, env_name) if release else deployed_release(current, env_name)
    runs = [run for run in ledger.runs() if run.start.get("release") == found]
    result = ShowResult(
        environment=env_name,
        release=found,
        is_live=current is not None and current.release == found,
        manifest=fetch_manifest(store, found),
        runs=tuple(map(recorded_run, runs)),
    )
    app.emit(as_document(result), "\n".join([*_file_lines(result), "", history_text(runs)]))


def deployed_release(current: Current | None, env_name: str) -> str:
    """Return the release that is recorded as deployed. Raise DataopsError if there is none."""
    if current is None:
        raise DataopsError(f"nothing is recorded as deployed in {env_name}", hint=f"dataops deploy --env {env_name}")
    return current.release


def _file_lines(result: ShowResult) -> list[str]:
    return [
        f"release {result.release}" + ("  (deployed now)" if result.is_live else ""),
        *(
            f"  {item['sha256'][:12]}  {item['size']:>9,}  {item['kind']:<8}  {path}"
            for path, item in result.manifest["files"].items()
        ),
    ]
