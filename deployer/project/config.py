"""The project as frozen values: what dataops.yml declares, read once, with every problem of the file at once.

Whether the files that it names exist and fit together is validation.py's and wiring.py's business.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from deployer.errors import ConfigError
from deployer.nearest import nearest
from deployer.project.shapes import DEFAULT_RELEASE_MAX_AGE_DAYS, PROJECT
from deployer.project.ssh_keys import problem_of_key
from deployer.project.yaml_reader import Entry, FromEnvironment, Reader, compose

CONFIG_FILE = "dataops.yml"
LOCAL = "local"
DEFAULT_REGION = "ap-southeast-2"  # of environments behind an endpoint that name none


class ArtifactKind(StrEnum):
    """What a template's parameter gets of an artifact: the S3 key of a file or of a zip, or its text."""

    FILE = "file"
    ZIP = "zip"
    BUNDLE = "bundle"
    TEXT = "text"


@dataclass(frozen=True)
class Artifact:
    """A file (or a directory to zip) of the release; `name` is the parameter that points to it.

    `others` are the further directories of a bundle, which is called like its first one.
    """

    name: str
    kind: ArtifactKind
    path: Path
    where: str = f"{CONFIG_FILE}:1:1"
    others: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All that goes into it."""
        return (self.path, *self.others)


@dataclass(frozen=True)
class Partner:
    """Who delivers over the cross-account route, or over that of a tool, with credentials of its own.

    `role` is the partner's, for reading its bucket; `external_id_variable` holds what that role asks for.
    """

    account: str | None = None
    profile: str | None = None
    role: str | None = None
    external_id_variable: str | None = None


@dataclass(frozen=True)
class DriftIgnore:
    """A difference that is known: of one property, or of the whole resource, up to and including a day."""

    stack: str
    logical_id: str
    reason: str
    until: dt.date
    property_path: str | None = None
    where: str = f"{CONFIG_FILE}:1:1"


@dataclass(frozen=True)
class Environment:
    """Where a release is deployed.

    `parameters` may hold secrets and is never printed. `variables` are the parameters that take a variable of the
    process: parameter -> variable. `places` says where a parameter is written: parameter -> dataops.yml:9:5.
    """

    name: str
    account: str | None = None
    region: str = DEFAULT_REGION
    profile: str | None = None
    endpoint: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    partner: Partner | None = None
    third_party: Partner | None = None
    promotes_from: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    release_max_age_days: int = DEFAULT_RELEASE_MAX_AGE_DAYS
    drift_ignore: tuple[DriftIgnore, ...] = ()
    termination_protection: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict, repr=False)
    expected_every_hours: Mapping[str, int] = field(default_factory=dict)
    """Route -> hours within which it delivers; a route that is not here is not watched."""
    sftp_users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """User of the SFTP route -> public keys."""
    where: str = field(default=f"{CONFIG_FILE}:1:1", compare=False)

    @property
    def unset(self) -> Mapping[str, str]:
        """The parameters whose variable is not set."""
        return {name: variable for name, variable in self.variables.items() if name not in self.parameters}


@dataclass(frozen=True)
class StackSpec:
    """A stack: its template, values of its parameters, and new names for its outputs (old -> new)."""

    name: str
    template: Path
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    where: str = f"{CONFIG_FILE}:1:1"
    places: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Project:
    """The whole of dataops.yml. `directory` is absolute; so are the paths of templates and artifacts."""

    name: str
    directory: Path
    environments: Mapping[str, Environment]
    stacks: Mapping[str, StackSpec]
    artifacts: Mapping[str, Artifact]


def load_project(project_dir: Path, variables: Mapping[str, str] = os.environ) -> Project:
    """Read dataops.yml. Raise ConfigError with every problem of the file; `variables` are the process's own."""
    file = project_dir / CONFIG_FILE
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        hint = "run dataops in the directory of dataops.yml, or give the directory with --project-dir"
        raise ConfigError(f"there is no {CONFIG_FILE} in {project_dir}", hint=hint) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(file)) from error
    return parse_project(text, project_dir.resolve(), variables)


def parse_project(text: str, directory: Path, variables: Mapping[str, str]) -> Project:
    """Return the project that a dataops.yml of this text declares."""
    reader = Reader(CONFIG_FILE)
    node = compose(text, CONFIG_FILE)
    if node is None:
        raise ConfigError("the file is empty", where=CONFIG_FILE, hint="docs/configuration.md shows an example")
    entry = reader.read(node, PROJECT, CONFIG_FILE)
    if entry is not None:
        reader.problems.extend(_misfits(entry.value))
    _raise_all(reader.problems)
    assert entry is not None
    return _project(entry.value, directory, variables)


def _raise_all(problems: list[ConfigError]) -> None:
    if problems:
        first, *others = sorted(problems, key=_by_place)
        raise ConfigError(first.message, where=first.where, hint=first.hint, others=others)


def _by_place(problem: ConfigError) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else 0, part) for part in str(problem.where).split(":")]


# Making the values. What is read here has the right shape.


def _table(entry: Entry | None) -> Mapping[str, Entry]:
    return {} if entry is None else entry.value


def _plain(entries: Mapping[str, Entry], key: str) -> Any:
    return entries[key].value if key in entries else None


def _texts(entry: Entry | None) -> dict[str, str]:
    return {name: item.value for name, item in _table(entry).items()}


def _places(entry: Entry | None) -> dict[str, str]:
    return {name: str(item.location) for name, item in _table(entry).items()}


def _project(entries: Mapping[str, Entry], directory: Path, variables: Mapping[str, str]) -> Project:
    return Project(
        name=entries["project"].value,
        directory=directory,
        environments={n: _environment(n, entry, variables) for n, entry in entries["environments"].value.items()},
        stacks={name: _stack(name, entry, directory) for name, entry in entries["stacks"].value.items()},
        artifacts={n: _artifact(n, entry, directory) for n, entry in _table(entries.get("artifacts")).items()},
    )


def _environment(name: str, entry: Entry, variables: Mapping[str, str]) -> Environment:
    entries: Mapping[str, Entry] = entry.value
    given = _texts(entries.get("parameters"))
    values = {key: variables.get(v.variable) if isinstance(v, FromEnvironment) else v for key, v in given.items()}
    return Environment(
        name=name,
        account=_plain(entries, "account"),
        region=_plain(entries, "region") or DEFAULT_REGION,
        profile=_plain(entries, "profile"),
        endpoint=_plain(entries, "endpoint"),
        parameters={key: value for key, value in values.items() if value is not None},
        partner=_partner(entries.get("partner")),
        third_party=_partner(entries.get("third_party")),
        promotes_from=_plain(entries, "promotes_from"),
        tags=_texts(entries.get("tags")),
        release_max_age_days=_plain(entries, "release_max_age_days") or DEFAULT_RELEASE_MAX_AGE_DAYS,
        drift_ignore=tuple(_drift_ignore(item) for item in _plain(entries, "drift_ignore") or ()),
        termination_protection=bool(_plain(entries, "termination_protection")),
        variables={key: v.variable for key, v in given.items() if isinstance(v, FromEnvironment)},
        places=_places(entries.get("parameters")),
        expected_every_hours={
            route: each.value["expected_every_hours"].value for route, each in _table(entries.get("routes")).items()
        },
        sftp_users={
            user: tuple(key.value for key in keys.value) for user, keys in _table(entries.get("sftp_users")).items()
        },
        where=str(entry.location),
    )


def _partner(entry: Entry | None) -> Partner | None:
    return None if entry is None else Partner(**_texts(entry))


def _drift_ignore(entry: Entry) -> DriftIgnore:
    texts = _texts(entry)
    stack, _, logical_id = texts["resource"].partition("/")
    until = dt.date.fromisoformat(texts["until"])
    return DriftIgnore(stack, logical_id, texts["reason"], until, texts.get("property"), str(entry.location))


def _stack(name: str, entry: Entry, directory: Path) -> StackSpec:
    entries: Mapping[str, Entry] = entry.value
    return StackSpec(
        name=name,
        template=directory / entries["template"].value,
        parameters=_texts(entries.get("parameters")),
        outputs=_texts(entries.get("outputs")),
        where=str(entries["template"].location),
        places=_places(entries.get("parameters")) | _places(entries.get("outputs")),
    )


def _artifact(name: str, entry: Entry, directory: Path) -> Artifact:
    ((kind, path),) = entry.value.items()
    paths = [directory / each.value for each in path.value] if kind == ArtifactKind.BUNDLE else [directory / path.value]
    return Artifact(name, ArtifactKind(kind), paths[0], str(path.location), tuple(paths[1:]))


# What must fit together across keys.


def _misfits(entries: Mapping[str, Entry]) -> Iterator[ConfigError]:
    environments = _table(entries.get("environments"))
    stacks = _table(entries.get("stacks"))
    for name, environment in environments.items():
        yield from _promotion_misfits(name, environment, environments)
        for ignored in _plain(environment.value, "drift_ignore") or ():
            yield from _drift_misfits(ignored.value, stacks)
        for keys in _table(environment.value.get("sftp_users")).values():
            yield from (_misfit(key, problem) for key in keys.value if (problem := problem_of_key(key.value)))
    for stack in stacks.values():
        yield from _rename_misfits(_table(stack.value.get("outputs")))


def _misfit(entry: Entry, message: str) -> ConfigError:
    return ConfigError(message, where=str(entry.location))


def _suggested(name: str, known: Mapping[str, Entry]) -> str:
    meant = nearest(name, known)
    return f"did you mean '{meant}'?" if meant else f"known are {', '.join(known)}"


def _promotion_misfits(name: str, environment: Entry, known: Mapping[str, Entry]) -> Iterator[ConfigError]:
    first: Entry | None = environment.value.get("promotes_from")
    if first is not None and first.value not in known:
        yield _misfit(first, f"unknown environment '{first.value}', {_suggested(first.value, known)}")
    passed, source = [name], first
    while source is not None and source.value in known and source.value not in passed:
        passed.append(source.value)
        source = known[source.value].value.get("promotes_from")
    if first is not None and source is not None and source.value == name:
        yield _misfit(first, f"promotion goes in a circle: {' <- '.join([*passed, name])}")


def _drift_misfits(ignored: Mapping[str, Entry], stacks: Mapping[str, Entry]) -> Iterator[ConfigError]:
    if "resource" in ignored:
        stack = ignored["resource"].value.partition("/")[0]
        if stack not in stacks:
            yield _misfit(ignored["resource"], f"unknown stack '{stack}', {_suggested(stack, stacks)}")
    if "until" in ignored:
        try:
            dt.date.fromisoformat(ignored["until"].value)
        except ValueError:
            yield _misfit(ignored["until"], f"there is no day {ignored['until'].value}")


def _rename_misfits(outputs: Mapping[str, Entry]) -> Iterator[ConfigError]:
    seen: dict[str, str] = {}
    for old, new in outputs.items():
        if new.value in seen:
            yield _misfit(new, f"'{seen[new.value]}' and '{old}' are both renamed to '{new.value}'")
        seen[new.value] = old


def stack_name(project: str, environment: str, stack: str) -> str:
    """Return the stack's name in CloudFormation."""
    return f"{project}-{environment}-{stack}"
