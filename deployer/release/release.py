"""A release: every template, script, zip and SQL file by its SHA-256, and one manifest whose own hash is the release's id.
Content only (no time, machine or absolute path), so the same commit built anywhere has the same id. Storing: artifacts.py.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.errors import ConfigError
from deployer.ledger.store import canonical
from deployer.project.links import link_problem

if TYPE_CHECKING:
    from deployer.project.config import Project

FORMAT = 1
ARTIFACTS_PREFIX = "artifacts/"
RELEASES_PREFIX = "releases/"
SQL_DIRECTORY = "athena"  # the SQL and the smoke test's fixtures belong to what was tested
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_NOT_SHIPPED = "__pycache__"


@dataclass(frozen=True)
class ReleaseFile:
    """One file of a release; `path` is relative to the project and uses slashes."""

    path: str
    kind: str
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def key(self) -> str:
        """Its key in the artifacts bucket: a changed byte is another key, an unchanged file the same one."""
        return artifact_key(self.path, self.sha256)


def artifact_key(path: str, sha256: str) -> str:
    return f"{ARTIFACTS_PREFIX}{sha256}/{path.rsplit('/', 1)[-1]}"


@dataclass(frozen=True)
class Release:
    """A built or a fetched release."""

    manifest: Mapping[str, Any]
    files: Mapping[str, ReleaseFile] = field(repr=False)

    @property
    def id(self) -> str:
        return release_id(self.manifest)

    @property
    def key(self) -> str:
        return release_key(self.id)

    def artifact_values(self) -> dict[str, str]:
        """Return the value of each artifact parameter: the key of a file or a zip, the content of a text."""
        return {
            name: self.files[item["path"]].content.decode() if item["kind"] == "text" else self.files[item["path"]].key
            for name, item in self.manifest["artifacts"].items()
        }


def release_id(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(manifest)).hexdigest()


def release_key(release: str) -> str:
    return f"{RELEASES_PREFIX}{release}.json"


def short(release: str | None) -> str:
    """Return a release's id in its short form."""
    return release[:12] if release else "-"


def short_commit(commit: str, length: int = 8) -> str:
    """Return a commit in its short form; the `+` of a checkout that differed from it is kept."""
    return commit[:length] + ("+" if commit.endswith("+") else "")


def build_release(project: Project) -> Release:
    """Read the project's files and make their manifest.

    Raise ConfigError for a file that is not there, and for a link that leads out of the project.
    """
    _refuse_links(project)
    files: dict[str, ReleaseFile] = {}
    stacks: dict[str, Any] = {}
    artifacts: dict[str, Any] = {}
    for name, spec in project.stacks.items():
        path = _relative(project, spec.template)
        files[path] = ReleaseFile(path, "template", _read(project, path, spec.where))
        stacks[name] = {"template": path, "parameters": dict(spec.parameters), "outputs": dict(spec.outputs)}
    for name, artifact in project.artifacts.items():
        source = _relative(project, artifact.path)
        kind = str(artifact.kind)
        folders = [_relative(project, path) for path in artifact.paths]
        file = (
            ReleaseFile(f"{source}.zip", "zip", zip_directories([project.directory / folder for folder in folders]))
            if kind in ("zip", "bundle")
            else ReleaseFile(source, kind, _read(project, source, artifact.where))
        )
        files[file.path] = file
        artifacts[name] = {"kind": kind, "path": file.path} | ({"folders": folders} if kind == "bundle" else {})
    for found in _tree(project.directory / SQL_DIRECTORY):
        path = found.relative_to(project.directory).as_posix()
        files.setdefault(path, ReleaseFile(path, "sql", found.read_bytes()))
    return Release(_manifest(project.name, stacks, artifacts, files), files)


def _refuse_links(project: Project) -> None:
    sources = [(spec.where, spec.template) for spec in project.stacks.values()]
    sources += [(artifact.where, path) for artifact in project.artifacts.values() for path in artifact.paths]
    for where, path in (*sources, (SQL_DIRECTORY, project.directory / SQL_DIRECTORY)):
        if problem := link_problem(project.directory, path):
            raise ConfigError(problem, where=where)


def _manifest(
    project: str, stacks: Mapping[str, Any], artifacts: Mapping[str, Any], files: Mapping[str, ReleaseFile]
) -> dict[str, Any]:
    listed = {path: {"kind": f.kind, "sha256": f.sha256, "size": len(f.content)} for path, f in sorted(files.items())}
    return {"format": FORMAT, "project": project, "stacks": stacks, "artifacts": artifacts, "files": listed}


def zip_directories(directories: Sequence[Path]) -> bytes:
    """Create a zip whose bytes depend only on the files: sorted, one time, one mode, stored (zlib differs between builds).

    Each directory itself is a top folder, so that a package can be imported from the zip.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for directory in directories:
            if not directory.is_dir():
                raise ConfigError(f"there is no directory {directory.name} to zip", where=str(directory))
            for path in _tree(directory):
                entry = zipfile.ZipInfo(path.relative_to(directory.parent).as_posix(), date_time=_EPOCH)
                entry.create_system, entry.external_attr = 3, 0o100644 << 16
                archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def _tree(directory: Path) -> Iterator[Path]:
    """Yield the files below a directory in the same order on every machine, without leftovers of Python, git and desktops."""

    def is_shipped(path: Path) -> bool:
        names = path.relative_to(directory).parts
        return path.is_file() and path.suffix != ".pyc" and not any(n == _NOT_SHIPPED or n[0] == "." for n in names)

    yield from sorted(filter(is_shipped, directory.rglob("*")), key=lambda p: p.relative_to(directory).as_posix())


def _relative(project: Project, path: Path) -> str:
    return path.relative_to(project.directory).as_posix()


def _read(project: Project, path: str, where: str) -> bytes:
    try:
        return (project.directory / path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", where=where) from error
