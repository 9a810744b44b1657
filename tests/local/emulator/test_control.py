"""Starting, finding, stopping: one local cloud per checkout, and a clear message if it cannot start."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from local_cloud import Cloud

from deployer import local
from deployer.cli import cli
from deployer.local.emulator import private_parts
from deployer.local.paths import LocalPaths
from deployer.local.process import control, endpoint
from deployer.local.process.errors import LocalCloudError, MissingExtra, NoDiskSpace, PortTaken, UnsupportedPython


def test_start_finds_what_runs(local_cloud: Cloud) -> None:
    """Given a running local cloud, when it is started again, then the same one is returned and nothing is printed."""
    said: list[str] = []
    again = local.start(local_cloud.project_dir, say=said.append)
    assert again == local_cloud.endpoint
    assert said == []


def test_two_checkouts_and_a_restart(local_cloud: Cloud, own_cloud: Cloud) -> None:
    """Given two checkouts, then each has its own port and data; after a restart it keeps its port if that is free."""
    bucket = own_cloud.bucket()
    first_port = own_cloud.endpoint.ports["gateway"]
    assert first_port != local_cloud.endpoint.ports["gateway"]
    assert bucket not in {found["Name"] for found in local_cloud.client("s3").list_buckets()["Buckets"]}
    assert local.stop(own_cloud.project_dir)
    assert not local.stop(own_cloud.project_dir)
    assert local.find(own_cloud.project_dir) is None

    own_cloud.restart()
    assert own_cloud.endpoint.ports["gateway"] == first_port
    own_cloud.client("s3").head_bucket(Bucket=bucket)

    local.stop(own_cloud.project_dir)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", first_port)):
        own_cloud.endpoint = local.start(own_cloud.project_dir, say=said.append)
    assert own_cloud.endpoint.ports["gateway"] != first_port
    assert any("is taken" in text for text in said)


def test_a_copied_checkout_is_one_of_its_own(own_cloud: Cloud, tmp_path: Path) -> None:
    """Given a copy of a checkout whose local cloud runs, then the copy has none until it starts its own."""
    bucket = own_cloud.bucket()
    copy = tmp_path / "copy"
    shutil.copytree(own_cloud.project_dir, copy)
    assert local.find(copy) is None
    twin = Cloud(copy, local.start(copy, say=lambda text: None))
    try:
        assert twin.endpoint.pid != own_cloud.endpoint.pid
        assert twin.endpoint.url != own_cloud.endpoint.url
        twin.client("s3").head_bucket(Bucket=bucket)
        twin.client("s3").put_object(Bucket=bucket, Key="k", Body=b"the copy's")
        assert "Contents" not in own_cloud.client("s3").list_objects_v2(Bucket=bucket)
        assert local.find(own_cloud.project_dir) == own_cloud.endpoint
    finally:
        local.stop(copy)


def test_a_moved_checkout_keeps_its_data(own_cloud: Cloud, tmp_path: Path) -> None:
    """Given a checkout that is moved while its local cloud runs, then it restarts at the new place with all that
    it has accepted since, and writes nothing at the old place while it ends.
    """
    bucket, before, said = own_cloud.bucket(), own_cloud.project_dir, []
    own_cloud.function("def handle(event, context):\n    return 1\n")
    before.rename(tmp_path / "moved")
    own_cloud.client("s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    try:
        moved = Cloud(tmp_path / "moved", local.start(tmp_path / "moved", say=said.append))
        assert moved.endpoint.pid != own_cloud.endpoint.pid
        assert moved.client("s3").get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
        assert any("restarting it with its state" in text for text in said)
        assert not before.exists()
    finally:
        local.stop(tmp_path / "moved")
        (tmp_path / "moved").rename(before)


@pytest.mark.parametrize(
    "changed",
    [
        {"ports": {}},
        {"ports": {"sftp": 4567}},
        {"ports": {"gateway": "4566"}},
        {"ports": {"gateway": 70000}, "url": "http://127.0.0.1:70000"},
        {"ports": None},
        {"url": "http://example.org:4566"},
        {"more": "than we know"},
    ],
)
def test_a_file_that_no_launcher_wrote_is_no_endpoint(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Given an endpoint.json that was cut, edited by hand or made by somebody else, then it counts as absent."""
    paths = LocalPaths.of(tmp_path)
    paths.root.mkdir(parents=True)
    written = endpoint.describe(1, {"gateway": 4566, "sftp": 4567}, "1.5.33", "an instance", "a code")
    endpoint.write(paths.endpoint, written)
    assert endpoint.read(paths.endpoint) == written
    paths.endpoint.write_text(json.dumps({**asdict(written), **changed}), encoding="utf-8")
    assert endpoint.read(paths.endpoint) is None
    assert local.find(tmp_path) is None


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.6\r\n", b"", b"HTTP/1.0 200 OK\r\n\r\n[]"])
def test_another_program_at_the_remembered_port_is_not_ours(tmp_path: Path, answer: bytes) -> None:
    """Given another server at the local cloud's old port, whatever it answers, then no local cloud is found."""
    paths = LocalPaths.of(tmp_path)
    paths.root.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        ports = {"gateway": server.getsockname()[1], "sftp": 1}
        endpoint.write(paths.endpoint, endpoint.describe(1, ports, "1.5.33", "an instance", "a code"))
        assert local.find(tmp_path) is None
        thread.join()


def test_state_is_its_owners_alone(own_cloud: Cloud) -> None:
    """Given objects, keys, logs and state, then nobody but the owner may read or write them, or enter their directories."""
    own_cloud.client("s3").put_object(Bucket=own_cloud.bucket(), Key="a/b", Body=b"x")
    own_cloud.client("transfer").create_server(Protocols=["SFTP"])
    local.trial_user(own_cloud.project_dir)
    root = LocalPaths.of(own_cloud.project_dir).root
    modes = {path: path.lstat().st_mode for path in [root, *root.rglob("*")] if not path.is_symlink()}
    assert len(modes) > 10
    assert {str(path): oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_older_code_is_replaced(own_cloud: Cloud) -> None:
    """Given a local cloud that runs other code than the checkout's, when it is started, then it is restarted."""
    bucket, said = own_cloud.bucket(), []
    fingerprint = endpoint.code_fingerprint()
    known = endpoint.read(LocalPaths.of(own_cloud.project_dir).endpoint)
    assert known is not None
    assert known.code == fingerprint
    endpoint.write(LocalPaths.of(own_cloud.project_dir).endpoint, replace(known, code="older"))
    own_cloud.endpoint = local.start(own_cloud.project_dir, say=said.append)
    assert own_cloud.endpoint.pid != known.pid
    assert any("older code" in text for text in said)
    own_cloud.client("s3").head_bucket(Bucket=bucket)


def test_every_file_of_the_local_cloud_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a copy of deployer/local, when a file of any room changes, moves or goes, then the fingerprint changes."""
    package = tmp_path / "local"
    shutil.copytree(endpoint.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(endpoint, "PACKAGE", package)
    seen = [endpoint.code_fingerprint()]
    for file in sorted(package.rglob("*.py")):
        file.write_text(file.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
        seen.append(endpoint.code_fingerprint())
    (package / "slack.py").rename(package / "glue" / "slack.py")
    seen.append(endpoint.code_fingerprint())
    (package / "glue" / "slack.py").unlink()
    seen.append(endpoint.code_fingerprint())
    assert len(set(seen)) == len(seen)


def test_one_that_does_not_answer_is_replaced(own_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a local cloud that hangs, when it is started, then it is killed and a new one has its state."""
    bucket, said, hung = own_cloud.bucket(), [], own_cloud.endpoint.pid
    monkeypatch.setattr(control, "HUNG_SECONDS", 0.5)
    monkeypatch.setattr(control, "STOP_SECONDS", 0.5)
    os.kill(hung, signal.SIGSTOP)
    own_cloud.endpoint = local.start(own_cloud.project_dir, say=said.append)
    assert own_cloud.endpoint.pid != hung
    assert any("does not answer" in text for text in said)
    own_cloud.client("s3").head_bucket(Bucket=bucket)


def test_one_that_answers_late_is_found(own_cloud: Cloud) -> None:
    """Given a local cloud that is busy for longer than one question waits, when it is looked for, then it is found."""
    os.kill(own_cloud.endpoint.pid, signal.SIGSTOP)
    goes_on = threading.Timer(3.0, os.kill, (own_cloud.endpoint.pid, signal.SIGCONT))
    goes_on.start()
    try:
        assert local.find(own_cloud.project_dir) == own_cloud.endpoint
    finally:
        goes_on.join()


def test_one_process_owns_the_state(local_cloud: Cloud) -> None:
    """Given a running launcher, when a second one is started on its state, then the second ends at once and says why."""
    root = LocalPaths.of(local_cloud.project_dir).root
    command = [sys.executable, "-m", "deployer.local.process.launcher", str(root)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "another process already serves" in second.stderr.splitlines()[-1]


def test_no_credentials_reach_it(own_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given real credentials in the shell, then the launcher's environment has none of them."""
    local.stop(own_cloud.project_dir)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "real")
    own_cloud.restart()
    text = Path(f"/proc/{own_cloud.endpoint.pid}/environ").read_text(encoding="utf-8")
    environment = dict(entry.partition("=")[::2] for entry in text.split("\0") if entry)
    assert {name for name in environment if name.startswith("AWS_")} == {
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_EC2_METADATA_DISABLED",
    }
    assert "real" not in environment.values()


def test_status_stop_and_reset_as_commands(own_cloud: Cloud) -> None:
    """Given a running local cloud, then the commands show where it is, stop it, and delete its data."""
    where = ["--project-dir", str(own_cloud.project_dir)]

    def run(*arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(cli, [*where, "--output", "json", "local", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    status = run("status")
    assert status["running"] is True
    assert status["url"] == own_cloud.endpoint.url
    assert status["ports"]["gateway"] == own_cloud.endpoint.ports["gateway"]
    assert {"region", "access_key_id", "secret_access_key", "pid", "version", "state"} <= set(status)
    assert run("stop")["stopped"] is True
    assert run("status")["running"] is False
    assert run("reset", "--yes")["reset"] is True
    assert not LocalPaths.of(own_cloud.project_dir).root.exists()


@pytest.mark.parametrize(("version", "accepted"), [((3, 10), False), ((3, 11), True), ((3, 15), False)])
def test_wrong_python(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], accepted: bool) -> None:
    """Given a Python that the pinned Spark does not run on, then the error names it and the next step."""
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
    if accepted:
        control.check_python()
        return
    with pytest.raises(UnsupportedPython, match=f"Python {version[0]}.{version[1]} cannot") as caught:
        control.check_python()
    assert caught.value.hint is not None


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an installation without the extra [local], then the hint is the pip command."""

    def nothing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(control, "version", nothing)
    with pytest.raises(MissingExtra) as caught:
        control.check_packages()
    assert "pip install -e '.[local]'" in (caught.value.hint or "")


def test_another_emulator_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given another version of the emulator than the completions expect, then nothing starts and both are named."""
    monkeypatch.setattr(control, "version", lambda package: "9.9.9")
    with pytest.raises(MissingExtra, match=r"needs ministack 1\.5\.33, but 9\.9\.9 is installed"):
        control.check_packages()
    monkeypatch.setattr(private_parts, "version", lambda package: "9.9.9")
    with pytest.raises(private_parts.EmulatorChanged, match="written against 1.5.33"):
        private_parts.check_version()


def test_a_changed_emulator_is_noticed() -> None:
    """Given a private name that is gone or takes other parameters, then requiring it fails and says so."""
    module: Any = SimpleNamespace(__name__="ministack.services.glue", call=lambda data: None)
    with pytest.raises(private_parts.EmulatorChanged, match="has no 'other' any more"):
        private_parts.require(module, "other")
    with pytest.raises(private_parts.EmulatorChanged, match="takes"):
        private_parts.require(module, "call", ("data", "more"))


def test_no_disk_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a nearly full disk, then nothing is started."""
    monkeypatch.setattr(control.shutil, "disk_usage", lambda path: SimpleNamespace(free=5 << 20))
    with pytest.raises(NoDiskSpace, match="only 5 MiB are free"):
        local.start(tmp_path, say=print)


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a checkout on a file system that is mounted read-only, then nothing is started, and the place is named."""

    def refuse(path: str, flags: int) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(control, "private", refuse)
    with pytest.raises(LocalCloudError, match="cannot write .*: Read-only file system") as caught:
        local.start(tmp_path, say=print)
    assert str(LocalPaths.of(tmp_path).root) in str(caught.value)
    assert caught.value.hint is not None


def test_a_port_that_was_asked_for_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given that DATAOPS_LOCAL_PORT names a port in use, then the start fails with the port's number."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("DATAOPS_LOCAL_PORT", str(port))
        with pytest.raises(PortTaken, match=f"port {port} is taken") as caught:
            local.start(tmp_path, say=lambda text: None)
    assert "unset DATAOPS_LOCAL_PORT" in (caught.value.hint or "")


@pytest.mark.parametrize("wanted", ["http", "70000", "0", "-1", "65536", "²", " 80", "8080.5"])
def test_what_is_no_port(wanted: str) -> None:
    """Given that DATAOPS_LOCAL_PORT does not name a port, then the error says so, and not that the port is taken."""
    with pytest.raises(PortTaken, match="which is not a port"):
        control.check_port(wanted)
