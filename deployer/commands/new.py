"""dataops new: create a project from the lakehouse's own templates, job and SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import click

from deployer.blueprint import CONFIG_FILE, blueprint_files
from deployer.documents import as_document
from deployer.errors import Refused, UsageError
from deployer.project.config import load_project
from deployer.terminal.app import App
from deployer.terminal.options import examples
from deployer.version import VERSION

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_SCHEMA_LINE = "# yaml-language-server:"  # names a file of the checkout
IGNORED = ".dataops/\n__pycache__/\n"
README = """\
# {name}
A refunds lakehouse, made by `dataops new` of dataops {version}.
```
dataops deploy --env local --yes   # here, without an AWS account
dataops sample --out sample --transactions 2000 --months 6
dataops ingest --env local sample/*
dataops run --env local
dataops report --env local
```
The accounts of uat and prod in `dataops.yml` are made up: put yours there, then `dataops validate` and `dataops plan --env uat`.
"""


@dataclass(frozen=True)
class NewResult:
    """The project that was made."""

    directory: Path  #: where the project is
    project: str  #: its name in dataops.yml
    files: int  #: how many files were copied


@click.command(epilog=examples("dataops new refunds", "dataops new refunds --name acme-refunds"))
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", metavar="NAME", help="The first part of the stacks' names; default: refunds-lake.")
@click.pass_obj
def new(app: App, directory: Path, name: str | None) -> None:
    """Create a project in DIRECTORY, which must be new or empty: templates, job, SQL, functions and dataops.yml.

    It can be deployed to the local cloud as it is. The files are yours to change.
    """
    if name is not None and NAME.fullmatch(name) is None:
        raise UsageError(f"'{name}' is no name of a project", hint="up to 31 of a-z, 0-9 and -, a letter first")
    if directory.exists() and any(directory.iterdir()):
        raise Refused("the directory is not empty", where=str(directory), hint="name one that is new")
    files = blueprint_files()
    config = _config(files[CONFIG_FILE].read_text(encoding="utf-8"), name)
    for path, source in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (directory / CONFIG_FILE).write_text(config, encoding="utf-8")
    project = load_project(directory).name
    (directory / ".gitignore").write_text(IGNORED, encoding="utf-8")
    (directory / "README.md").write_text(README.format(name=project, version=VERSION), encoding="utf-8")
    result = NewResult(directory, project, len(files))
    app.emit(as_document(result), f"{directory}: project {project} of {len(files)} files")
    app.say(f"next: dataops --project-dir {directory} deploy --env local --yes")


def _config(text: str, name: str | None) -> str:
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(_SCHEMA_LINE)]
    config = "".join(lines)
    return config if name is None else re.sub(r"^project: .*$", f"project: {name}", config, count=1, flags=re.MULTILINE)
