"""``dataops sftp``: manage the users of the SFTP route, which dataops.yml declares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from deployer.documents import as_document
from deployer.errors import UsageError
from deployer.files import write_file
from deployer.project.config import CONFIG_FILE
from deployer.project.edit import with_sftp_user
from deployer.project.ssh_keys import problem_of_key
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples


@dataclass(frozen=True)
class SftpUserAdded:
    """A user of the SFTP route in dataops.yml."""

    env: str  #: the environment
    user: str  #: the user
    added: bool  #: false: the user had this key already


@click.group("sftp")
def sftp_group() -> None:
    """Manage the users of the SFTP route."""


@sftp_group.command("add-user", epilog=examples("dataops sftp add-user --env uat acme --key acme_ed25519.pub"))
@env_option
@click.option("--key", required=True, metavar="FILE", type=click.Path(path_type=Path), help="The public key (.pub).")
@click.argument("name", metavar="NAME")
@click.pass_obj
def add_user(app: App, env_name: str, key: Path, name: str) -> None:
    """Write user NAME and its public key to dataops.yml; the next deployment creates the user.

    The key's comment is left out. A user that already exists gets an additional key.
    """
    app.environment(env_name)
    line = read_key(key)
    file = app.project_dir / CONFIG_FILE
    before = file.read_text(encoding="utf-8")
    after = with_sftp_user(before, env_name, name, line)
    if after != before:
        write_file(file, after)
    result = SftpUserAdded(env_name, name, after != before)
    app.say(f"next: dataops deploy --env {env_name}")
    done = f"user {name} was written to {CONFIG_FILE}" if result.added else f"user {name} already has this key"
    app.emit(as_document(result), done)


def read_key(path: Path) -> str:
    """Return type and content of the one public key in a file. Raise UsageError for anything else."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}", hint="--key takes a .pub file") from error
    if "PRIVATE KEY" not in text and len(text.splitlines()) != 1:
        raise UsageError(
            f"{path}: has {len(text.splitlines())} lines, but a public key is one line", hint="give a .pub file"
        )
    if problem := problem_of_key(text):
        raise UsageError(f"{path}: {problem}", hint="ssh-keygen -t ed25519 -f acme_ed25519 creates a key pair")
    return " ".join(text.split()[:2])
