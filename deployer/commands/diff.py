"""`dataops diff`: two releases, file by file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from deployer.options import env_option, examples

if TYPE_CHECKING:
    from deployer.app import App


@click.command(epilog=examples("dataops diff --env prod 3f1c09aa", "dataops diff --env uat 3f1c09aa 77d2e410"))
@env_option
@click.argument("before")
@click.argument("after", required=False)
@click.pass_obj
def diff(app: App, /, env_name: str, before: str, after: str | None) -> None:
    """Compare release BEFORE with AFTER (default: the one that is deployed); starts of ids are enough."""
    from deployer.artifacts import fetch_file, fetch_manifest, matching_release
    from deployer.assembly import artifacts_store
    from deployer.errors import DataopsError
    from deployer.ledger import Ledger
    from deployer.release import short
    from deployer.release_diff import changed_files, settings_changed

    store = artifacts_store(app.connect(env_name))
    current = Ledger(store, env_name).current()
    if after is None and current is None:
        raise DataopsError(f"nothing is recorded as deployed in {env_name}", hint="name two releases")
    ids = [
        matching_release(store, before, env_name),
        matching_release(store, after, env_name) if after else current.release if current else "",
    ]
    old, new = (fetch_manifest(store, release) for release in ids)

    def read(manifest: Any, path: str) -> bytes:
        return fetch_file(store, path, manifest["files"][path]).content

    files = changed_files(old, new, read)
    lines = [
        f"release {short(ids[0])} -> {short(ids[1])}: " + (f"{len(files)} files differ" if files else "the same files")
    ]
    settings_differ = settings_changed(old, new)
    if settings_differ:
        lines.append("stacks or artifacts in dataops.yml differ")
    lines += [line for file in files for line in (f"{file.change.value}: {file.path}", *file.lines)]
    document = {
        "environment": env_name,
        "before": ids[0],
        "after": ids[1],
        "settings_differ": settings_differ,
        "files": [file.document() for file in files],
    }
    app.emit(document, "\n".join(lines))
