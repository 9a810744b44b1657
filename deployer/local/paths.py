"""Where the local cloud keeps its files: one directory per checkout, inside it.

This module only names the paths; it creates and removes nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def private(path: str, flags: int) -> int:
    """Open a file, as an opener for `open`, so that only its owner can read it."""
    return os.open(path, flags, mode=0o600)


@dataclass(frozen=True)
class LocalPaths:
    """The files of one checkout's local cloud, all below ``<project>/.dataops/local``."""

    root: Path

    @classmethod
    def of(cls, project_dir: Path) -> LocalPaths:
        return cls(project_dir.resolve() / ".dataops" / "local")

    @property
    def endpoint(self) -> Path:
        """The address and the process that serves it (JSON); the launcher writes it when it is ready."""
        return self.root / "endpoint.json"

    @property
    def log(self) -> Path:
        return self.root / "launcher.log"

    @property
    def start_lock(self) -> Path:
        """Held by a client while it starts the launcher, so that two clients do not start two."""
        return self.root / "start.lock"

    @property
    def serve_lock(self) -> Path:
        """Held by the launcher for its whole life, so that only one process owns the state."""
        return self.root / "serve.lock"

    @property
    def sftp_key(self) -> Path:
        """Private key of the SFTP server's trial user; the public key is beside it, with the suffix .pub."""
        return self.root / "sftp" / "trial_ed25519"

    @property
    def objects(self) -> Path:
        """Data files of S3 objects (the emulator's layout)."""
        return self.root / "objects"

    @property
    def slack(self) -> Path:
        """The messages that would have gone to Slack, one JSON document per line."""
        return self.root / "slack.jsonl"

    @property
    def issuers(self) -> Path:
        """Issuers of web identity tokens with their public keys (JSON Web Key Sets); written by tests."""
        return self.root / "issuers.json"

    @property
    def state(self) -> Path:
        """Everything that is not the body of an S3 object."""
        return self.root / "state"

    @property
    def database(self) -> Path:
        return self.state / "state.sqlite"

    @property
    def runs(self) -> Path:
        """Scratch space of Glue job runs, on the file system of the objects so that hard links work."""
        return self.root / "runs"

    @property
    def temporary(self) -> Path:
        """TMPDIR of the launcher and its children; emptied at each start."""
        return self.root / "tmp"
