"""Everything that can be known without AWS: dataops.yml, templates, wiring, values, artifacts, SQL and Python.

No check calls AWS, and no check stops the others, unless there is nothing left to check. How findings are shown is
findings.py's business.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from deployer.errors import ConfigError, Location
from deployer.project.config import CONFIG_FILE, Artifact, ArtifactKind, Project, load_project
from deployer.project.finding import Finding, Level
from deployer.project.links import link_problem
from deployer.project.templates import Template, load_template
from deployer.project.wiring import Given, Wiring, wire
from deployer.validation.findings import ProjectCheck, config_findings
from deployer.validation.generated_names import names_cut
from deployer.validation.parameter_values import violations
from deployer.validation.template_limits import limits_broken

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
MAX_PARAMETER_BYTES = 4_096
GLUE_PYTHON = (3, 11)  # of Glue 5.1, the older one that a job may run on, whatever Python runs dataops
SQL_DIRECTORY, PYTHON_DIRECTORIES = "athena", ("glue", "functions")


class Linter(Protocol):
    """cfn-lint, as lint.py runs it: what it finds in each template, by its path."""

    def __call__(
        self, paths: Sequence[Path], regions: Iterable[str], shown_as: Mapping[Path, str]
    ) -> Mapping[Path, tuple[Finding, ...]]: ...


def validate_project(
    project_dir: Path, *, say: Callable[[str], None] = lambda text: None, linter: Linter | None = None
) -> tuple[ProjectCheck, ...]:
    """Return every check, each after those that it depends on; `linter` is cfn-lint except in tests."""
    try:
        project = load_project(project_dir)
    except ConfigError as error:
        return (ProjectCheck("configuration", CONFIG_FILE, config_findings(error, "configuration")),)
    checks = [ProjectCheck("configuration", CONFIG_FILE)]
    templates, unreadable = _templates(project)
    checks += unreadable
    say(f"cfn-lint reads {len(templates)} templates")
    checks += _lint(project, templates, linter)
    checks += [_limits(project, path, template) for path, template in templates.items()]
    checks += _wiring(project, templates, complete=not unreadable)
    checks += [_artifact(project, artifact) for artifact in project.artifacts.values()]
    checks += _sql(project)
    checks += [_python(project, path) for path in _python_files(project)]
    return tuple(checks)


def _shown(project: Project, path: Path) -> str:
    return path.relative_to(project.directory).as_posix()


def _paths(project: Project) -> Iterator[Path]:
    yield from dict.fromkeys(spec.template for spec in project.stacks.values())


def _where(text: str) -> Location:
    file, line, column = text.split(":")
    return Location(file, int(line), int(column))


# Templates.


def _templates(project: Project) -> tuple[dict[Path, Template], list[ProjectCheck]]:
    templates: dict[Path, Template] = {}
    unreadable: list[ProjectCheck] = []
    for path in _paths(project):
        try:
            if problem := link_problem(project.directory, path):
                raise ConfigError(problem, where=_shown(project, path))
            templates[path] = load_template(path, shown_as=_shown(project, path))
        except ConfigError as error:
            unreadable.append(ProjectCheck("template", _shown(project, path), config_findings(error, "template")))
    return templates, unreadable


def _lint(project: Project, templates: Mapping[Path, Template], linter: Linter | None) -> Iterator[ProjectCheck]:
    if not templates:
        return
    regions = [environment.region for environment in project.environments.values()]
    shown_as = {path: _shown(project, path) for path in templates}
    for path, findings in (linter or _cfn_lint())(list(templates), regions, shown_as).items():
        yield ProjectCheck("cfn-lint", shown_as[path], findings)


def _cfn_lint() -> Linter:
    from deployer.validation.cfn_lint import lint  # takes most of a second to import

    return lint


def _limits(project: Project, path: Path, template: Template) -> ProjectCheck:
    return ProjectCheck("template limits", _shown(project, path), tuple(limits_broken(template)))


# Wiring and values.


def _wiring(project: Project, templates: Mapping[Path, Template], *, complete: bool) -> Iterator[ProjectCheck]:
    if not complete:
        yield ProjectCheck("wiring", "stacks", skipped="a template cannot be read")
        return
    by_stack = {name: templates[spec.template] for name, spec in project.stacks.items()}
    for environment in project.environments.values():
        wiring = wire(project, by_stack, environment)
        findings = [*wiring.findings, *_value_findings(wiring, environment.variables)]
        findings += names_cut(project.name, environment, by_stack)
        yield ProjectCheck("wiring", f"environment {environment.name}", tuple(dict.fromkeys(findings)))


def _value_findings(wiring: Wiring, variables: Iterable[str]) -> Iterator[Finding]:
    for stack in wiring.stacks.values():
        for name, source in stack.sources.items():
            if isinstance(source, Given):
                declared = stack.template.document["Parameters"][name]
                hidden = name in variables or stack.template.parameters[name].no_echo
                for violation in violations(declared, source.value, is_secret=hidden):
                    message = f"stack {stack.name}: parameter '{name}': {violation}"
                    yield Finding.at(_where(source.where), Level.ERROR, "parameter-value", message)
                if name in variables and not stack.template.parameters[name].no_echo:
                    message = f"stack {stack.name}: parameter '{name}' takes its value from a variable but would be shown, because it lacks NoEcho"
                    yield Finding.at(_where(source.where), Level.WARNING, "secret-shown", message)


# Artifacts.


def _artifact(project: Project, artifact: Artifact) -> ProjectCheck:
    subject = f"{artifact.name} ({', '.join(_shown(project, path) for path in artifact.paths)})"
    problem = _artifact_problem(project, artifact)
    if problem is None:
        return ProjectCheck("artifact", subject)
    return ProjectCheck("artifact", subject, (Finding.at(_where(artifact.where), Level.ERROR, "artifact", problem),))


def _artifact_problem(project: Project, artifact: Artifact) -> str | None:
    for each in artifact.paths:
        if problem := link_problem(project.directory, each):
            return problem
    if artifact.kind in (ArtifactKind.ZIP, ArtifactKind.BUNDLE):
        return next(filter(None, (_directory_problem(project, path) for path in artifact.paths)), None)
    path = _shown(project, artifact.path)
    if not artifact.path.is_file():
        return f"there is no file {path}"
    if artifact.kind is ArtifactKind.TEXT:
        try:
            size = len(artifact.path.read_text(encoding="utf-8").encode())
        except UnicodeDecodeError:
            return f"{path} is not UTF-8 text"
        if size > MAX_PARAMETER_BYTES:
            return f"a parameter has at most {MAX_PARAMETER_BYTES:,} bytes, {path} has {size:,}"
        return None if size else f"{path} is empty"
    return None


def _directory_problem(project: Project, directory: Path) -> str | None:
    path = _shown(project, directory)
    if not directory.is_dir():
        return f"there is no directory {path}"
    return None if any(directory.rglob("*.*")) else f"the directory {path} is empty"


# SQL and Python.


def _sql(project: Project) -> Iterator[ProjectCheck]:
    paths = sorted((project.directory / SQL_DIRECTORY).rglob("*.sql"))
    try:
        import sqlglot
        import sqlglot.errors
    except ImportError:
        skipped = "sqlglot is not installed: pip install -e '.[local]'"
        yield from (ProjectCheck("SQL", _shown(project, path), skipped=skipped) for path in paths)
        return
    for path in paths:
        shown = _shown(project, path)
        try:
            statements = sqlglot.parse(path.read_text(encoding="utf-8"), dialect="athena")
        except sqlglot.errors.SqlglotError as error:
            yield ProjectCheck("SQL", shown, tuple(_sql_findings(shown, error)))
            continue
        findings = () if len([s for s in statements if s is not None]) == 1 else (
            Finding.at(Location(shown, 1), Level.ERROR, "sql", "a file must contain exactly one statement"),
        )  # fmt: skip
        yield ProjectCheck("SQL", shown, findings)


def _sql_findings(shown: str, error: Exception) -> Iterator[Finding]:
    places = getattr(error, "errors", None) or [{"description": str(error).splitlines()[0]}]
    for place in places:
        location = Location(shown, place.get("line") or 1, place.get("col"))
        yield Finding.at(location, Level.ERROR, "sql", str(place["description"]).rstrip("."))


def _python_files(project: Project) -> Iterator[Path]:
    for directory in PYTHON_DIRECTORIES:
        yield from sorted((project.directory / directory).rglob("*.py"))


def _python(project: Project, path: Path) -> ProjectCheck:
    """Compile for Glue's Python, so that newer syntax is found on any machine."""
    shown = _shown(project, path)
    try:
        ast.parse(path.read_bytes(), filename=shown, feature_version=GLUE_PYTHON)
    except (SyntaxError, ValueError) as error:
        line, column = getattr(error, "lineno", None) or 1, getattr(error, "offset", None)
        message = getattr(error, "msg", None) or str(error)
        return ProjectCheck(
            "Python", shown, (Finding.at(Location(shown, line, column), Level.ERROR, "python", message),)
        )
    return ProjectCheck("Python", shown)
