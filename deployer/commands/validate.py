"""`dataops validate`: run every check that needs no AWS. The checks are in deployer/validation."""

from __future__ import annotations

from pathlib import Path

import click

from deployer.documents import as_document
from deployer.files import require_folder, write_file
from deployer.project.finding import Level
from deployer.terminal.app import App
from deployer.terminal.options import examples
from deployer.validation.findings import as_junit, as_text, validation_result
from deployer.validation.validate import validate_project


@click.command(
    epilog=examples(
        "dataops validate",
        "dataops validate --junit validate.xml",
        "dataops validate --output json",
    )
)
@click.option(
    "--junit",
    "junit_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the checks as JUnit XML, for CI.",
)
@click.option("--strict", is_flag=True, help="Also fail on warnings and on checks that could not be made.")
@click.pass_obj
def validate(app: App, junit_file: Path | None, strict: bool) -> int:
    """Check dataops.yml, the templates (cfn-lint), their wiring, the values, the artifacts, SQL and Python.

    Calls no AWS and needs no credentials.
    """
    require_folder(junit_file)
    checks = validate_project(app.project_dir, say=app.say)
    if junit_file is not None:
        write_file(junit_file, as_junit(checks))
    result = validation_result(checks)
    app.emit(as_document(result), as_text(checks))
    is_clean = not any(check.skipped for check in checks) and all(f.level is Level.INFORMATION for f in result.findings)
    return 0 if result.ok and (is_clean or not strict) else 1
