"""One Glue job run as a process of this machine: its preparation, output, end and cleaning up.

job_runs.py has the Glue API around it (states, limits, events); this module knows scripts, libraries and processes.
"""

from __future__ import annotations

import contextvars
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployer.local.emulator.on_loop import on_loop
from deployer.local.emulator.private_parts import load
from deployer.local.glue import spark_runner
from deployer.local.glue.java import home_for_spark
from deployer.local.glue.job_logs import LogStream, copy_lines
from deployer.local.glue.mounts import Mount, Mounts
from deployer.local.glue.spark_settings import (
    Archive,
    Archives,
    names_region,
    s3a_encryption,
    submit_arguments,
)
from deployer.local.paths import LocalPaths
from deployer.local.process.environment import client_environment
from deployer.local.process.leftovers import end_processes_of
from deployer.local.rights.judging import Denied
from deployer.local.rights.objects import ObjectRights
from deployer.local.rights.roles import Role, taken_by

#: How long the last lines of a run may take to arrive after its driver has ended.
DRAIN_SECONDS = 1.5


class LaunchError(Exception):
    """The run cannot start; the message is the run's ErrorMessage."""


@dataclass(frozen=True)
class RunSpec:
    """What to run, where, and with which role."""

    run_id: str
    account: str
    region: str
    url: str
    role_arn: str
    script_location: str
    arguments: Mapping[str, str]
    log_group_prefix: str


@dataclass
class JobProcess:
    """One run. Call `run` once, and `kill` from any thread."""

    spec: RunSpec
    paths: LocalPaths
    mounts: Mounts
    archives: Archives
    refused: str = field(default="", init=False)
    _killed: bool = field(default=False, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _readers: list[threading.Thread] = field(default_factory=list, init=False)

    @property
    def directory(self) -> Path:
        return self.paths.runs / self.spec.run_id

    def run(self, timeout_seconds: float | None) -> tuple[int, str]:
        """Run to the end; return the exit code and the error's last line (empty on success).

        Raise `LaunchError` when it cannot start and `subprocess.TimeoutExpired` when it takes too long.
        """
        try:
            role = taken_by("glue.amazonaws.com", self.spec.role_arn, "GlueJobRunnerSession")
        except Denied as denied:
            raise LaunchError(f"LAUNCH ERROR | Role cannot be assumed: {denied}") from denied
        rights = ObjectRights(role.principal())
        self.directory.mkdir(parents=True)
        mount: Mount | None = None
        archive = self.archives.take()
        try:
            script, libraries = self._fetch_code(rights)
            mount = on_loop(
                self.mounts.open,
                self.directory / "buckets",
                self.spec.account,
                rights,
                self.refuse,
                s3a_encryption(self.spec.arguments),
            )
            process = self._start(role, script, libraries, mount, archive)
            try:
                status = process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            finally:
                for reader in self._readers:
                    reader.join(DRAIN_SECONDS)
            error_file = self.directory / "error"
            return status, error_file.read_text(encoding="utf-8") if error_file.exists() else ""
        finally:
            if mount is not None:
                on_loop(self.mounts.close, mount)
            self._tidy_later(archive)

    def kill(self) -> None:
        """End the driver and everything it started."""
        self._killed = True
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            end_processes_of(self.directory)  # Spark's workers have a group of their own

    def refuse(self, message: str) -> None:
        """End the run because S3 refuses what it has done."""
        self.refused = message
        self.kill()

    @property
    def killed(self) -> bool:
        return self._killed

    def _fetch_code(self, rights: ObjectRights) -> tuple[Path, list[Path]]:
        """Download the script and the ``--extra-py-files`` from S3 into the run's directory."""
        script = self._download(self.spec.script_location, rights)
        wanted = self.spec.arguments.get("--extra-py-files", "")
        return script, [self._download(uri.strip(), rights) for uri in wanted.split(",") if uri.strip()]

    def _download(self, uri: str, rights: ObjectRights) -> Path:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            on_loop(rights.require_read, bucket, key)
        except Denied as denied:
            raise LaunchError(f"LAUNCH ERROR | Error downloading from S3 for {uri}: AccessDenied: {denied}") from denied
        body = on_loop(load("services.s3")._get_object_data, bucket, key) if uri.startswith("s3://") and key else None
        if body is None:
            raise LaunchError(f"LAUNCH ERROR | File does not exist: {uri or '(no ScriptLocation)'}")
        target = self.directory / "code" / Path(key).name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(body)
        return target

    def _start(
        self, role: Role, script: Path, libraries: list[Path], mount: Mount, archive: Archive | None
    ) -> subprocess.Popen[bytes]:
        scratch = self.directory / "scratch"
        scratch.mkdir()
        environment = {
            **client_environment(os.environ, self.paths, url=self.spec.url, region=self.spec.region),
            **role.credentials(),
            "TMPDIR": str(scratch),
            "JAVA_HOME": str(home_for_spark(self.directory / "java")),
            "LC_ALL": "C.UTF-8",  # otherwise Java finds no file with letters beyond ASCII in its path
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": os.pathsep.join(str(library) for library in libraries),
            "PYSPARK_SUBMIT_ARGS": submit_arguments(
                mount.buckets(), scratch, archive, has_region=names_region(self.spec.arguments)
            ),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "DATAOPS_LOCAL_PARENT": str(os.getpid()),
            "DATAOPS_LOCAL_ERROR_FILE": str(self.directory / "error"),
        }
        arguments = [part for name, value in self.spec.arguments.items() for part in (name, str(value))]
        runner = Path(spark_runner.__file__)
        # Start it in this thread, which lives as long as the process: on Linux, a child dies with its starting thread.
        process = self._process = subprocess.Popen(
            [sys.executable, str(runner), str(script), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=scratch,
            env=environment,
            start_new_session=True,
        )
        if self._killed:
            self.kill()
        for kind, pipe in {"output": process.stdout, "error": process.stderr}.items():
            assert pipe is not None
            stream = LogStream(f"{self.spec.log_group_prefix}/{kind}", f"{self.spec.run_id}-driver", role)
            context = contextvars.copy_context()
            reader = threading.Thread(target=context.run, args=(copy_lines, pipe, stream), daemon=True)
            reader.start()
            self._readers.append(reader)
        return process

    def _tidy_later(self, archive: Archive | None) -> None:
        """Publish the archive once the JVM, which may still be writing it, has ended, and remove the directory."""

        def tidy() -> None:
            for reader in self._readers:
                reader.join()
            if archive is not None:
                self.archives.give_back(archive)
            shutil.rmtree(self.directory, ignore_errors=True)

        threading.Thread(target=tidy, daemon=True).start()


def script_arguments(job: Mapping[str, Any], run_id: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return the script's arguments: the run's override the defaults, the non-overridable ones override both."""
    return {
        **(job.get("DefaultArguments") or {}),
        **given,
        **(job.get("NonOverridableArguments") or {}),
        "--JOB_NAME": job["Name"],
        "--JOB_RUN_ID": run_id,
    }
