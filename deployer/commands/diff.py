"""`dataops diff`: compare two releases, file by file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from deployer.commands.show import deployed_release
from deployer.composition.environment import artifacts_store
from deployer.documents import as_document
from deployer.ledger.ledger import Ledger
from deployer.ledger.store import RecordStore
from deployer.release.artifacts import fetch_file, fetch_manifest, matching_release
from deployer.release.diff import ChangedFile, changed_files, settings_changed
from deployer.release.release import short
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples


@dataclass(frozen=True)
class DiffResult:
    """Two releases, and the files that differ."""

    environment: str  #: the environment
    before: str  #: the earlier release's id
    after: str  #: the later one's
    settings_differ: bool  #: stacks or artifacts of dataops.yml differ
    files: tuple[ChangedFile, ...]  #: the files that differ, in order of their paths


@click.command(epilog=examples("dataops diff --env prod 3f1c09aa", "dataops diff --env uat 3f1c09aa 77d2e410"))
@env_option
@click.argument("before")
@click.argument("after", required=False)
@click.pass_obj
def diff(app: App, /, env_name: str, before: str, after: str | None) -> None:
    """Compare release BEFORE with AFTER (default: the deployed one); the start of an id is enough."""
    store = artifacts_store(app.connect(env_name))
    later = (
        matching_release(store, after, env_name)
        if after
        else deployed_release(Ledger(store, env_name).current(), env_name)
    )
    result = compare_releases(store, env_name, matching_release(store, before, env_name), later)
    app.emit(as_document(result), diff_text(result))


def compare_releases(store: RecordStore, env_name: str, before: str, after: str) -> DiffResult:
    """Read both manifests, and of the files those that differ."""
    old, new = fetch_manifest(store, before), fetch_manifest(store, after)

    def read(manifest: Mapping[str, Any], path: str) -> bytes:
        return fetch_file(store, path, manifest["files"][path]).content

    return DiffResult(env_name, before, after, settings_changed(old, new), changed_files(old, new, read))


def diff_text(result: DiffResult) -> str:
    """Show what differs, text files line by line."""
    count = f"{len(result.files)} files differ" if result.files else "the same files"
    lines = [f"release {short(result.before)} -> {short(result.after)}: {count}"]
    if result.settings_differ:
        lines.append("stacks or artifacts in dataops.yml differ")
    lines += [line for file in result.files for line in (f"{file.change.value}: {file.path}", *file.diff)]
    return "\n".join(lines)
