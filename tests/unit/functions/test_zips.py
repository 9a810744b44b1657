"""Every function's zip holds all that its handler imports, and needs nothing but the standard library and boto3."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from refunds_checks.registry import load_checks
from repository import ROOT
from template_model import TEMPLATES, all_resources

from deployer.project.config import load_project
from deployer.release.release import Release, build_release

RUNTIME = ["boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six"]
FUNCTIONS = {
    f"{resource.template}/{resource.id}": (
        TEMPLATES[resource.template].document["Resources"][resource.id]["Properties"]["Code"]["S3Key"]["Ref"],
        resource.properties["Handler"],
    )
    for resource in all_resources("AWS::Lambda::Function")
}
IMPORT = """
import importlib, importlib.abc, os, sys
folder, module, function, *runtime = sys.argv[1:]
shipped = {name.removesuffix(".py") for name in os.listdir(folder)}
class OnlyRuntime(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        top = name.partition(".")[0]
        if not (top in sys.stdlib_module_names or top in runtime or top in shipped or top.startswith("_sysconfigdata")):
            raise ImportError(name + " is not in Lambda's runtime")
sys.meta_path.insert(0, OnlyRuntime())
sys.path.insert(0, folder)
found = importlib.import_module(module)
assert found.__file__.startswith(folder) and callable(getattr(found, function))
"""
CHECKS = f"""
assert len(found.load_checks(found.CHECKS)) == {len(load_checks(ROOT / "athena/checks"))}
"""
PAGE = """
from refunds_statements.page import FinancePage, Provenance
from refunds_statements.page_html import render_page
assert "</html>" in render_page(FinancePage(None, (), (), (), Provenance("e", "r", "r", "l", "m")))
"""
FILES = {"operations/Validation": CHECKS, "month_end/IssueStatement": CHECKS + PAGE}
"""What a handler opens besides, by its function; the script goes on with it."""


@pytest.fixture(scope="module")
def release() -> Release:
    return build_release(load_project(ROOT, {}))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_handler_finds_what_it_imports(name: str, release: Release, tmp_path: Path) -> None:
    """Given a function's zip, when its handler is imported by a Python with boto3 alone, then no module or file is missing."""
    artifact, handler = FUNCTIONS[name]
    archive = tmp_path / "code.zip"
    archive.write_bytes(release.files[release.manifest["artifacts"][artifact]["path"]].content)
    folder = tmp_path / "task"
    with zipfile.ZipFile(archive) as code:
        code.extractall(folder)
    module, _, function = handler.rpartition(".")
    command = [sys.executable, "-c", IMPORT + FILES.get(name, ""), str(folder), module, function, *RUNTIME]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr


def test_files_are_asked_of_functions_that_there_are() -> None:
    """Given what handlers open besides, then each of these functions is in a template."""
    assert FILES.keys() <= FUNCTIONS.keys()
