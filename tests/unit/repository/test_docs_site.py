"""The pages as a site: it builds without a network and without a warning, and needs nothing from another host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from repository import ROOT

from deployer import cli

pytestmark = pytest.mark.skipif(find_spec("material") is None, reason="pip install -e '.[docs]' builds the site")
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
TAG = re.compile(r'<(?:script|img|source|iframe|link)\b[^>]*?\b(?:src|srcset|href)="?(https?:)?//', re.IGNORECASE)


def build(project: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", project / "mkdocs.yml"]
    environment = {**os.environ, **NO_NETWORK, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        [*command, "--site-dir", site], capture_output=True, text=True, check=False, env=environment, cwd=project
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    done = build(ROOT, site)
    assert done.returncode == 0 and "WARNING" not in done.stdout + done.stderr, done.stderr
    return site


def test_every_page_is_on_the_site(site: Path) -> None:
    """Given the pages of docs/, when the site is built, then each is there, with the README as the first one."""
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")}
    built = {page.relative_to(site) for page in site.rglob("*.html")}
    assert built == pages | {Path("index.html"), Path("commands.html"), Path("404.html")}
    assert "dataops deploy --env local --yes" in (site / "index.html").read_text(encoding="utf-8")


def test_the_help_of_every_command_is_on_the_site(site: Path) -> None:
    """Given the commands, when the page of commands is read, then each has its help there, with its options."""
    page = (site / "commands.html").read_text(encoding="utf-8")
    assert all(f"dataops {name}" in page for name in cli.cli.list_commands(click.Context(cli.cli)))
    assert "--max-bytes" in page and "dataops data rollback" in page


def test_diagrams_are_pictures(site: Path) -> None:
    """Given pages with diagrams, when the site is built, then each is a picture with its heading, and none is left as code."""
    for page in (ROOT / "docs").rglob("*.md"):
        written = page.read_text(encoding="utf-8").count("```mermaid")
        built = (site / page.relative_to(ROOT / "docs").with_suffix(".html")).read_text(encoding="utf-8")
        assert len(re.findall(r'<svg xmlns="[^"]+" role="img" aria-label="[^"]+"', built)) == written, page
        assert "flowchart LR" not in built and "erDiagram" not in built


def test_nothing_comes_from_another_host(site: Path) -> None:
    """Given the site, when its tags are read, then no script, style, picture or font is fetched from elsewhere."""
    for page in site.rglob("*.html"):
        found = [match[0] for match in TAG.finditer(page.read_text(encoding="utf-8")) if "canonical" not in match[0]]
        assert not found, page


def test_a_dead_link_fails(tmp_path: Path) -> None:
    """Given a page with a link to a page or a heading that is not there, when the site is built, then it fails."""
    for link in ("nowhere.md", "job.md#no-such-heading", "../nowhere.py"):
        project = tmp_path / re.sub(r"\W", "-", link)
        shutil.copytree(ROOT / "docs", project / "docs")
        for name in ("README.md", "CONTRIBUTING.md", "mkdocs.yml"):
            shutil.copy(ROOT / name, project)
        for name in ("benchmarks/README.md", "athena/smoke/README.md"):
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, project / name)
        page = project / "docs" / "glossary.md"
        page.write_text(page.read_text(encoding="utf-8") + f"\n[dead]({link})\n", encoding="utf-8")
        done = build(project, tmp_path / "site")
        assert done.returncode == 1 and link.partition("#")[0] in done.stdout + done.stderr, link
