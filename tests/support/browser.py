"""A real headless browser for tests of pages, and axe-core, which checks their accessibility.

Neither comes from pip: without them the tests are skipped with the reason, unless the variable says that they must run,
as in the pipeline.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from repository import ROOT

CHROMIUM = shutil.which("chromium")
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
IS_REQUIRED = os.environ.get("DATAOPS_BROWSER_TESTS") == "required"
needs_browser = pytest.mark.skipif(
    CHROMIUM is None and not IS_REQUIRED,
    reason="Debian's chromium is not installed: the page is not opened in a browser",
)
needs_axe = pytest.mark.skipif(
    (CHROMIUM is None or not AXE.exists()) and not IS_REQUIRED,
    reason="chromium or axe-core is not installed (npm install --no-save axe-core): accessibility is not checked",
)


def browse(folder: Path, page: str, *options: str) -> str:
    """What a browser prints when it opens a page; its files go into the folder."""
    assert CHROMIUM is not None, "chromium is not installed"
    (folder / "probe.html").write_text(page, encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", *options]
    return subprocess.run(
        [*command, f"--user-data-dir={folder / 'profile'}", f"file://{folder}/probe.html"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


def dom_of(folder: Path, page: str, *options: str) -> str:
    """The document into which a browser turns a page."""
    return browse(folder, page, "--dump-dom", *options)


def pdf_of(folder: Path, page: str) -> bytes:
    """The page as a browser prints it."""
    browse(folder, page, f"--print-to-pdf={folder / 'page.pdf'}", "--no-pdf-header-footer")
    return (folder / "page.pdf").read_bytes()
