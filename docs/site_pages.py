"""What mkdocs does not know of the pages: links out of docs/, folders of pages, and that the README is the first page.

Links to files beside docs/ mean something in the repository and nothing on the site: there they are shown as paths.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"ROUTES": "ingestion", "DECISIONS": "decisions"}
START = "index.md"
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")


def on_config(config: Any) -> Any:
    """Put the pages of a folder where the navigation names it."""
    for entry in config["nav"]:
        for title, value in entry.items():
            if isinstance(value, str) and value in FOLDERS:
                folder = ROOT / "docs" / FOLDERS[value]
                entry[title] = [f"{folder.name}/{page.name}" for page in sorted(folder.glob("*.md"))]
    config["nav"] = [entry for entry in config["nav"] if list(entry.values()) != [[]]]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Make the README the first page."""
    from mkdocs.structure.files import File

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    inside = text.replace("](docs/", "](").replace('"docs/', '"')
    files.append(File.generated(config, START, content=inside))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Show links that lead out of docs/ as the paths that they name."""
    folder = posixpath.dirname(page.file.src_uri)

    def shown(link: re.Match[str]) -> str:
        text, target = link[1], link[2].partition("#")[0]
        if not target or ":" in target:
            return link[0]
        inside = posixpath.normpath(posixpath.join(folder, target))
        is_inside = not inside.startswith("..") and (ROOT / "docs" / inside).exists()
        if is_inside and (ROOT / "docs" / inside).is_file():
            return link[0]
        outside = ROOT / ("" if page.file.src_uri == START and not is_inside else "docs") / inside
        if not outside.exists():
            return link[0]  # dead: mkdocs says so
        name = outside.resolve().relative_to(ROOT).as_posix()
        return f"`{name}`" if text.strip("`") == name else f"{text} (`{name}`)"

    return _LINK.sub(shown, markdown)
