"""`dataops review`: one Markdown page for the person who approves a release."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployer.options import env_option, examples

if TYPE_CHECKING:
    from deployer.app import App
    from deployer.review_page import Numbers
    from deployer.session import Session
    from deployer.store import Store

REPORT_SQL = "RefundsSql"  # the artifact that holds the refund report


@click.command(epilog=examples("dataops review --env uat --against prod", "dataops review --env uat --against prod --out review.md"))
@env_option
@click.option("--against", required=True, metavar="NAME", help="The environment that the release would go to.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the page to a file.")
@click.pass_obj
def review(app: App, /, env_name: str, against: str, out: Path | None) -> None:
    """Write the page: what changed file by file, the plan of the target with its IAM section, verdicts, and the numbers."""
    from deployer.artifacts import fetch_file, fetch_manifest, fetch_release
    from deployer.assembly import artifacts_store, evidence_of, planned, released
    from deployer.errors import DataopsError
    from deployer.planner import Options
    from deployer.promotion import refusals
    from deployer.release_diff import changed_files, settings_changed
    from deployer.review_page import Review, review_page

    target_environment = app.environment(against)
    source, target = app.connect(env_name), app.connect(against)
    evidence = evidence_of(source, target_environment.release_max_age_days, None)
    if evidence.current is None:
        raise DataopsError(f"nothing was deployed to {env_name}", hint=f"dataops deploy --env {env_name}")
    there = evidence_of(target, 0, None)
    store = artifacts_store(source)
    release = fetch_release(store, evidence.current.release)
    stores: dict[str, Store] = {release.id: store}
    before: Mapping[str, Any] = {"files": {}, "stacks": {}, "artifacts": {}}
    if there.current is not None:
        stores.setdefault(there.current.release, artifacts_store(target))
        before = fetch_manifest(stores[there.current.release], there.current.release)
    old_store = stores[there.current.release] if there.current else store

    def read(manifest: Mapping[str, Any], path: str) -> bytes:
        return fetch_file(old_store if manifest is before else store, path, manifest["files"][path]).content

    with released(target, release) as wired:
        plan = planned(target, wired, Options())
    page = Review(
        source=env_name,
        target=against,
        current=evidence.current,
        against=there.current,
        refusals=refusals(evidence),
        files=changed_files(before, release.manifest, read),
        settings_differ=settings_changed(before, release.manifest),
        plan=plan,
        validation=_validation(app, source, release.id),
        numbers=_numbers(source, *(_report_sql(m, read) for m in (before, release.manifest))),
    )
    text = review_page(page)
    if out:
        out.write_text(text, encoding="utf-8")
        app.say(f"wrote {out}")
    app.emit(page.document(), "" if out else text)


def _report_sql(manifest: Mapping[str, Any], read: Any) -> str | None:
    item = manifest["artifacts"].get(REPORT_SQL)
    return read(manifest, item["path"]).decode() if item else None


def _numbers(session: Session, before: str | None, after: str | None) -> Numbers:
    """The report under both SQLs on the tables of the source environment."""
    from deployer.athena import run_query
    from deployer.aws import stack_outputs
    from deployer.errors import DataopsError
    from deployer.report import refund_rows
    from deployer.review_page import Numbers

    def totals(sql: str) -> dict[str, Decimal]:
        result = run_query(session, sql, database=outputs["BaseDatabaseName"], workgroup=outputs["WorkGroupName"])
        return {row.customer_id: row.total_refund for row in refund_rows(result)}

    if after is None:
        return Numbers(None, None, "This release has no refund report.")
    if before is None:
        return Numbers(None, None, "There is no earlier release to compare with.")
    try:
        outputs = stack_outputs(session)
        return Numbers(totals(before), totals(after))
    except (DataopsError, KeyError) as error:
        return Numbers(None, None, f"Could not be computed: {error}")


def _validation(app: App, session: Session, release: str) -> list[str] | None:
    """Findings about the checkout, when it is the release that is reviewed."""
    from deployer.assembly import built_target
    from deployer.errors import DataopsError
    from deployer.validation import validate_project

    try:
        if built_target(session).release.id != release:
            return None
    except DataopsError:
        return None
    return [
        str(finding) for check in validate_project(session.project.directory, say=app.say) for finding in check.findings
    ]
