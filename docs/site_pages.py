"""What mkdocs does not know of the pages: links out of docs/, folders of pages, that the README is the first page, diagrams,
which become pictures, and the help of every command, which is made into a page from the code.

Links to files beside docs/ mean something in the repository and nothing on the site: there they are shown as paths.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pictures.diagrams import diagrams_in, draw  # mkdocs looks for a hook's modules beside it

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"ROUTES": "ingestion", "DECISIONS": "decisions"}
START, COMMANDS = "index.md", "commands.md"
HELP_WIDTH = 100
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
    """Make the README the first page, and the commands' help another."""
    from mkdocs.structure.files import File

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    inside = text.replace("](docs/", "](").replace('"docs/', '"')
    files.append(File.generated(config, START, content=inside))
    files.append(File.generated(config, COMMANDS, content=commands_page()))
    return files


def commands_page() -> str:
    """What `--help` says of every command, in the order of `dataops --help`."""
    import click

    from deployer.cli import cli

    root = click.Context(cli, info_name="dataops", max_content_width=HELP_WIDTH, terminal_width=HELP_WIDTH)
    lines = ["# Commands", "What `--help` says of each, from the code.", ""]
    for context in contexts(root):
        lines += [f"## {context.command_path}", "```text", context.get_help(), "```", ""]
    return "\n".join(lines)


def contexts(context: Any) -> Iterator[Any]:
    """Yield the context of every command below one, in the order of `--help`, a group before its commands."""
    import click

    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if command is not None:
                yield from contexts(type(context)(command, info_name=name, parent=context))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Show links that lead out of docs/ as the paths that they name, and diagrams as pictures."""
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

    markdown = _LINK.sub(shown, markdown)
    for text, heading in diagrams_in(markdown).items():
        markdown = markdown.replace(f"```mermaid\n{text}```", f"<figure>\n{draw(text, heading)}</figure>")
    return markdown
