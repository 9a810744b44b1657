"""A copy of the project in a directory of its own, deployed to a local cloud of its own, and asked through `dataops`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from repository import ROOT

DATAOPS = str(Path(sys.executable).with_name("dataops"))


@dataclass(frozen=True)
class DeployedProject:
    """A project directory; `dataops` is the command line that works on it."""

    directory: Path
    dataops_command: str = DATAOPS

    @classmethod
    def copy(cls, directory: Path) -> DeployedProject:
        """The files that a release is made of, in a new place."""
        for name in ("templates", "glue", "athena", "functions"):
            shutil.copytree(ROOT / name, directory / name)
        shutil.copy(ROOT / "dataops.yml", directory)
        return cls(directory)

    def dataops(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.dataops_command, *arguments],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def must(self, *arguments: str) -> str:
        """The stdout of a command that has to succeed."""
        done = self.dataops(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def document(self, *arguments: str) -> dict[str, Any]:
        """The JSON of a command that has to succeed."""
        found: dict[str, Any] = json.loads(self.must("--output", "json", *arguments))
        return found

    def deliver(self, name: str, lines: Sequence[str]) -> None:
        """Deliver lines by the route of partners, and load them."""
        (self.directory / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        self.must("ingest", "--env", "local", name)
        self.must("run", "--env", "local")

    def client(self, service: str) -> Any:
        """A client of this project's local cloud."""
        status = self.document("local", "status")
        return boto3.client(
            service,
            endpoint_url=status["url"],
            region_name=status["region"],
            aws_access_key_id=status["access_key_id"],
            aws_secret_access_key=status["secret_access_key"],
        )
