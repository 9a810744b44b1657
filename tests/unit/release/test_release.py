"""A release is its content: the same anywhere, stored once, never overwritten."""

from __future__ import annotations

import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from deployments import World
from fake_cloud import FakeStore
from repository import ROOT

from deployer.errors import ConfigError, DataopsError, Refused
from deployer.project.links import link_problem
from deployer.release.artifacts import fetch_release, matching_release, store_release
from deployer.release.diff import changed_files
from deployer.release.release import build_release, zip_directories


def released(world: World) -> object:
    return world.target().release


def test_the_same_files_make_the_same_release_anywhere(tmp_path: Path) -> None:
    """Given two checkouts in other directories, times and modes, when a release is built in each, then the ids are equal."""
    here, there = World(tmp_path / "here"), World(tmp_path / "deeply/nested/there")
    os.utime(there.directory / "job.py", (1, 1))
    (there.directory / "job.py").chmod(0o700)
    assert here.target().release.id == there.target().release.id


@pytest.mark.parametrize("path", ["job.py", "templates/job.yaml"])
def test_a_changed_byte_makes_another_release(tmp_path: Path, path: str) -> None:
    """Given one changed byte, then the release is another one."""
    world = World(tmp_path)
    before = world.target().release.id
    world.write(path, (tmp_path / path).read_text() + "\n")
    assert world.target().release.id != before


def test_environments_do_not_make_another_release(tmp_path: Path) -> None:
    """The same release goes to uat and prod: its id knows neither."""
    world = World(tmp_path)
    before = world.target().release.id
    world.edit("dataops.yml", "eu-west-1}", "eu-west-2}")
    assert world.target().release.id == before
    world.environment = "prod"
    assert world.target().release.id == before


def test_a_zip_depends_on_its_files_alone(tmp_path: Path) -> None:
    """Given the same package twice, with other times, caches and hidden files, then the zips are equal and can be imported from."""
    for name, when in (("one", 1), ("two", 2_000_000_000)):
        package = tmp_path / name / "package"
        (package / "__pycache__").mkdir(parents=True)
        (package / "__pycache__" / "a.cpython-311.pyc").write_bytes(os.urandom(8))
        (package / ".gitattributes").write_bytes(os.urandom(8))
        for file in ("b.py", "a.py"):
            (package / file).write_text(f"# {file}\n")
            os.utime(package / file, (when, when))
    zips = [zip_directories([tmp_path / name / "package"]) for name in ("one", "two")]
    assert zips[0] == zips[1]
    assert zipfile.ZipFile(BytesIO(zips[0])).namelist() == ["package/a.py", "package/b.py"]


def test_a_bundle_holds_its_directories_side_by_side(tmp_path: Path) -> None:
    """Given a bundle of two directories, when it is built twice, then the bytes are equal and both are top folders."""
    for name in ("functions/validate/handler.py", "athena/checks/a.sql"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    folders = [tmp_path / "functions/validate", tmp_path / "athena/checks"]
    assert zip_directories(folders) == zip_directories(folders)
    assert zipfile.ZipFile(BytesIO(zip_directories(folders))).namelist() == ["validate/handler.py", "checks/a.sql"]


def test_a_change_in_a_bundle_is_told_where_it_is_in_the_project() -> None:
    """Given two releases whose bundle and zip hold the same changed file, then it is told once, under its path."""

    def release(text: str) -> tuple[dict[str, object], dict[str, bytes]]:
        contents = {}
        for path, names in {"f/validate.zip": ("validate/a.py", "lib/b.py"), "glue/lib.zip": ("lib/b.py",)}.items():
            buffer = BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                for name in names:
                    archive.writestr(name, text)
            contents[path] = buffer.getvalue()
        bundle = {"kind": "bundle", "path": "f/validate.zip", "folders": ["f/validate", "glue/lib"]}
        return {"artifacts": {"Code": bundle}, "files": {path: {"sha256": text} for path in contents}}, contents

    (before, old), (after, new) = release("1"), release("2")
    found = changed_files(before, after, lambda manifest, path: (old if manifest is before else new)[path])
    assert [file.path for file in found] == ["f/validate.zip", "f/validate/a.py", "glue/lib/b.py", "glue/lib.zip"]


def test_an_unchanged_release_uploads_nothing(tmp_path: Path) -> None:
    """Given a stored release, when it is stored again, then 0 bytes move; with one changed file only that file's."""
    world, store = World(tmp_path), FakeStore()
    first = store_release(store, world.target().release)
    assert first.files == 5
    assert store_release(store, world.target().release).bytes == 0
    world.write("job.py", "print(22)\n")
    assert store_release(store, world.target().release).bytes == len("print(22)\n")


def test_a_stored_object_is_never_overwritten(tmp_path: Path) -> None:
    """Given an object at the key of an artifact, when a release is stored, then the object stays as it is."""
    release, store = World(tmp_path).target().release, FakeStore()
    key = release.files["job.py"].key
    store.objects[key] = b"older"
    store_release(store, release)
    assert store.objects[key] == b"older"


def test_a_stored_release_comes_back_whole(tmp_path: Path) -> None:
    """Given a stored release, when it is fetched by the start of its id, then every byte and the id are the same."""
    release, store = World(tmp_path).target().release, FakeStore()
    store_release(store, release)
    found = fetch_release(store, matching_release(store, release.id[:8], "uat"))
    assert found.id == release.id
    assert {p: f.content for p, f in found.files.items()} == {p: f.content for p, f in release.files.items()}


@pytest.mark.parametrize("what", ["artifact changed", "artifact gone", "manifest changed"])
def test_a_tampered_release_is_refused(tmp_path: Path, what: str) -> None:
    """Given a release whose stored bytes are not what they were, when it is fetched, then it is refused and says where."""
    release, store = World(tmp_path).target().release, FakeStore()
    store_release(store, release)
    key = release.files["job.py"].key
    match what:
        case "artifact changed":
            store.objects[key] = b"evil"
        case "artifact gone":
            del store.objects[key]
        case _:
            key = release.key
            store.objects[key] = store.objects[key].replace(b'"shop"', b'"shoq"')
    with pytest.raises(Refused, match=key):
        fetch_release(store, release.id)


def test_an_unclear_or_unknown_id_is_an_error(tmp_path: Path) -> None:
    """Given no release or two with that start, then the message says which."""
    world, store = World(tmp_path), FakeStore()
    with pytest.raises(DataopsError, match="no stored release"):
        matching_release(store, "ab", "uat")
    for number in range(40):
        world.write("job.py", f"{number}")
        store_release(store, world.target().release)
    starts = [key.split("/")[1][0] for key in store.keys("releases/")]
    twice = next(start for start in starts if starts.count(start) > 1)
    with pytest.raises(DataopsError, match="stored releases start with"):
        matching_release(store, twice, "uat")


def test_the_checkout_of_this_repository_makes_a_release() -> None:
    """Every file that dataops.yml names exists and is listed."""
    from deployer.project.config import load_project

    release = build_release(load_project(ROOT, {}))
    kinds = {file.kind for file in release.files.values()}
    assert kinds >= {"template", "file", "zip", "text", "sql"}


@pytest.mark.parametrize("link", ["job.py", "templates/job.yaml", "athena/more/leak.sql"])
def test_a_link_that_leads_out_of_the_project_is_refused(tmp_path: Path, link: str) -> None:
    """Given a file of this machine behind a link, when a release is built, then the link and its target are named."""
    world, secret = World(tmp_path / "project"), tmp_path / "secret"
    secret.write_text("AWSTemplateFormatVersion: '2010-09-09'\n")
    path = world.directory / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(secret)
    with pytest.raises(ConfigError, match=f"{link} leads outside of the project, to {secret}"):
        world.target()


def test_a_link_within_the_project_is_its_file(tmp_path: Path) -> None:
    """Given a script that is a link to another file of the project, then the release holds what it leads to."""
    world = World(tmp_path)
    before = world.target().release.id
    (tmp_path / "job.py").rename(tmp_path / "moved.py")
    (tmp_path / "job.py").symlink_to("moved.py")
    assert world.target().release.id == before


@pytest.mark.parametrize(("target", "is_told"), [("package", "a directory"), ("gone", "nothing")])
def test_a_link_that_would_be_left_out_is_a_problem(tmp_path: Path, target: str, is_told: str) -> None:
    """Given a link to a directory or to nothing in what is zipped, then it is named: its files would be missing."""
    (tmp_path / "package").mkdir()
    (tmp_path / "zipped").mkdir()
    (tmp_path / "zipped/more").symlink_to(tmp_path / target)
    assert f"zipped/more is a link to {is_told}" in str(link_problem(tmp_path, tmp_path / "zipped"))


@pytest.mark.parametrize("missing", ["job.py", "templates/job.yaml"])
def test_a_file_that_is_not_there_is_told_where_it_is_named(tmp_path: Path, missing: str) -> None:
    """Given a template or a script that is gone, when a release is built, then the line of dataops.yml is told."""
    world = World(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ConfigError, match=f"cannot read {missing}: No such file") as refused:
        world.target()
    line = int(str(refused.value.where).split(":")[1])
    assert missing in (tmp_path / "dataops.yml").read_text().splitlines()[line - 1]
