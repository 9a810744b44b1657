"""The SFTP user that every local environment has from the start: its name, and a key pair below .dataops/local.

The key is created on first use: when an environment declares the user, or when somebody uploads as this user.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from deployer.local.paths import LocalPaths, private
from deployer.local.process.errors import MissingExtra

NAME = "trial"


@dataclass(frozen=True)
class SftpUser:
    """A user, the file of its private key, and its public key as a line."""

    name: str
    private_key: Path
    public_key: str


def trial_user(project_dir: Path) -> SftpUser:
    """Return the trial user of a checkout's local cloud; its key is created once, and deleted by `local reset`."""
    path = LocalPaths.of(project_dir).sftp_key
    public = path.with_suffix(".pub")
    if not path.exists() or not public.exists():
        _make(path, public)
    return SftpUser(NAME, path, public.read_text(encoding="ascii").strip())


def _make(path: Path, public: Path) -> None:
    try:
        import asyncssh
    except ImportError as error:
        raise MissingExtra("asyncssh is not installed", hint="pip install -e '.[local]'") from error
    key = asyncssh.generate_private_key("ssh-ed25519", comment=f"{NAME}@local")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    for place, written in ((unfinished, key.export_private_key()), (public, key.export_public_key())):
        with open(place, "wb", opener=private) as file:
            file.write(written)
    os.replace(unfinished, path)
