"""`dataops show`: one release, its files, and where and how it was deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deployer.options import env_option, examples

if TYPE_CHECKING:
    from deployer.app import App


@click.command(epilog=examples("dataops show --env prod", "dataops show --env prod 3f1c09aa"))
@env_option
@click.argument("release", required=False)
@click.pass_obj
def show(app: App, /, env_name: str, release: str | None) -> None:
    """Show RELEASE (or the start of its id); default: the one that is deployed."""
    from deployer.artifacts import fetch_manifest, matching_release
    from deployer.assembly import artifacts_store
    from deployer.commands.history import history_text, run_document
    from deployer.errors import DataopsError
    from deployer.ledger import Ledger

    store = artifacts_store(app.connect(env_name))
    ledger = Ledger(store, env_name)
    current = ledger.current()
    if release is None and current is None:
        raise DataopsError(f"nothing is recorded as deployed in {env_name}", hint=f"dataops deploy --env {env_name}")
    found = matching_release(store, release, env_name) if release else current.release if current else ""
    manifest, runs = fetch_manifest(store, found), [run for run in ledger.runs() if run.start.get("release") == found]
    is_live = current is not None and current.release == found
    lines = [f"release {found}" + ("  (deployed now)" if is_live else "")]
    lines += [
        f"  {item['sha256'][:12]}  {item['size']:>9,}  {item['kind']:<8}  {path}"
        for path, item in manifest["files"].items()
    ]
    document = {
        "environment": env_name,
        "release": found,
        "is_live": is_live,
        "manifest": manifest,
        "runs": [run_document(r) for r in runs],
    }
    app.emit(document, "\n".join([*lines, "", history_text(runs)]))
