"""The SFTP server as OpenSSH's and another client see it: what becomes an object, whose it is, and how long it stays."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from local_cloud import eventually
from local_project import LocalProject

from deployer import local

HEADER = "id,type,timestamp,amount,customer_id,merchant_id\n"


def day(name: str, *, lines: int = 1) -> bytes:
    """A CSV file of purchases whose ids begin with its name."""
    rows = (f"{name}-{number},purchase,2026-07-01T10:00:00Z,1.00,anna,m1\n" for number in range(lines))
    return (HEADER + "".join(rows)).encode()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProject]:
    """The project, deployed with a second user besides the one that every local environment has."""
    project = LocalProject.copy_to(tmp_path_factory.mktemp("sftp"))
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(project.directory / "acme")
    key.write_public_key(project.directory / "acme.pub")
    try:
        project.dataops("sftp", "add-user", "--env", "local", "acme", "--key", "acme.pub")
        project.dataops("deploy", "--env", "local", "--yes", "--no-smoke")
        yield project
    finally:
        local.stop(project.directory)


def key_of(project: LocalProject, user: str) -> Path:
    return local.trial_user(project.directory).private_key if user == "trial" else project.directory / user


def port(project: LocalProject) -> int:
    found: int = project.document("local", "status")["ports"]["sftp"]
    return found


def in_session(
    project: LocalProject, user: str, work: Callable[[asyncssh.SFTPClient], Awaitable[Any]], key: Path | None = None
) -> Any:
    """The result of `work` in an SFTP session of a user."""

    async def run() -> Any:
        keys = [str(key or key_of(project, user))]
        async with (
            asyncssh.connect(
                "127.0.0.1", port(project), username=user, client_keys=keys, known_hosts=None
            ) as connection,
            connection.start_sftp_client() as client,
        ):
            return await work(client)

    return asyncio.run(run())


def put(project: LocalProject, user: str, name: str, body: bytes) -> None:
    async def work(client: asyncssh.SFTPClient) -> None:
        async with client.open(name, "wb") as file:
            await file.write(body)

    in_session(project, user, work)


def raw(project: LocalProject) -> str:
    return project.outputs("storage")["RawBucketName"]


def keys(project: LocalProject, user: str) -> set[str]:
    """The names of a user's objects."""
    prefix = f"transactions/source=sftp/{user}/"
    listed = project.client("s3").list_objects_v2(Bucket=raw(project), Prefix=prefix).get("Contents", [])
    return {each["Key"].removeprefix(prefix) for each in listed}


def test_an_upload_is_an_object_like_any_other(project: LocalProject) -> None:
    """Given an upload, then S3 has all of it, with a version, the bucket's key and its time; a folder is not an object."""
    body = day("whole", lines=5000)
    put(project, "trial", "whole.csv", body)
    in_session(project, "trial", lambda client: client.mkdir("in"))
    found = project.client("s3").get_object(Bucket=raw(project), Key="transactions/source=sftp/trial/whole.csv")
    assert found["Body"].read() == body
    assert found["VersionId"] != "null"
    assert found["SSEKMSKeyId"] == project.outputs("storage")["DataKeyArn"]
    assert time.time() - found["LastModified"].timestamp() < 60


@pytest.mark.skipif(not shutil.which("sftp"), reason="OpenSSH's sftp is not installed")
def test_openssh_uploads_and_renames(project: LocalProject) -> None:
    """Given OpenSSH's client, when it sends under a waiting name and renames, then only the final name is there."""
    (project.directory / "openssh.csv").write_bytes(day("openssh"))
    batch = "put openssh.csv openssh.csv.tmp\nrename openssh.csv.tmp openssh.csv\nls -l\n"
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    command = ["sftp", "-b", "-", "-i", str(key_of(project, "trial")), "-P", str(port(project)), *options]
    run = subprocess.run(
        [*command, "trial@127.0.0.1"], input=batch, text=True, capture_output=True, cwd=project.directory, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "openssh.csv" in run.stdout
    assert {"openssh.csv"} <= keys(project, "trial") and "openssh.csv.tmp" not in keys(project, "trial")


def test_what_is_complete_can_be_overwritten_and_nothing_else(project: LocalProject) -> None:
    """Given a complete file, when its sender reads, deletes or renames it, then no; a waiting file allows it."""
    put(project, "trial", "done.csv", day("done"))
    put(project, "trial", "wait.csv.part", day("wait"))
    attempts: dict[str, Callable[[asyncssh.SFTPClient], Awaitable[Any]]] = {
        "read": lambda client: client.open("done.csv", "rb"),
        "delete": lambda client: client.remove("done.csv"),
        "rename": lambda client: client.posix_rename("done.csv", "other.csv"),
    }
    for attempt in attempts.values():
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            in_session(project, "trial", attempt)
    in_session(project, "trial", lambda client: client.remove("wait.csv.part"))
    put(project, "trial", "done.csv", day("done", lines=2))
    assert "done.csv" in keys(project, "trial") and "wait.csv.part" not in keys(project, "trial")


def test_a_dying_client_leaves_what_it_has_sent(project: LocalProject) -> None:
    """Given a client that is killed during an upload, then what has arrived is kept under the name that it used."""
    body = day("half", lines=3000)

    async def send_half() -> None:
        connection = await asyncssh.connect(
            "127.0.0.1", port(project), username="trial", client_keys=[str(key_of(project, "trial"))], known_hosts=None
        )
        client = await connection.start_sftp_client()
        file = await client.open("half.csv.tmp", "wb")
        await file.write(body[:100_000])
        connection.abort()

    asyncio.run(send_half())
    eventually(lambda: "half.csv.tmp" in keys(project, "trial"), seconds=10)
    found = project.client("s3").get_object(Bucket=raw(project), Key="transactions/source=sftp/trial/half.csv.tmp")
    assert found["Body"].read() == body[:100_000]


def test_users_are_alone(project: LocalProject) -> None:
    """Given two users, when one looks for the other by any path, then it finds its own folder and nothing else."""
    put(project, "trial", "secret.csv", day("secret"))
    for path in ("../..", "/../../trial", "../trial"):
        with pytest.raises((asyncssh.SFTPNoSuchFile, asyncssh.SFTPPermissionDenied)):
            in_session(project, "acme", lambda client, path=path: client.stat(f"{path}/secret.csv"))
    assert set(in_session(project, "acme", lambda client: client.listdir("/../../.."))) == {".", ".."}
    put(project, "acme", "../../trial/mine.csv", day("mine"))
    assert keys(project, "acme") == {"trial/mine.csv"} and "mine.csv" not in keys(project, "trial")


@pytest.mark.parametrize(("user", "key"), [("trial", "acme"), ("nobody", "trial"), ("trial", "new")])
def test_a_wrong_key_opens_nothing(project: LocalProject, user: str, key: str, tmp_path: Path) -> None:
    """Given another user's key, an unknown user or a new key, when it connects, then the server refuses it."""
    path = tmp_path / "new"
    if key == "new":
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(path)
    with pytest.raises(asyncssh.PermissionDenied):
        in_session(project, user, lambda client: client.listdir("/"), path if key == "new" else key_of(project, key))


def test_the_role_decides_not_the_server(project: LocalProject) -> None:
    """Given a role that has lost its permissions, when its user uploads, then that is denied and nothing arrives."""
    iam = project.client("iam")
    roles = [each["RoleName"] for each in iam.list_roles()["Roles"]]
    (role,) = [name for name in roles if "-sftp-UserRole" in name]
    (policy,) = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
    try:
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            put(project, "trial", "denied.csv", day("denied"))
    finally:
        iam.attach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
    assert "denied.csv" not in keys(project, "trial")


def test_what_a_client_has_seen_survives_a_kill(project: LocalProject) -> None:
    """Given acknowledged uploads, when the local cloud is killed, then they, the users' keys and the host key are kept."""
    status = project.document("local", "status")
    before = project.client("transfer").describe_server(ServerId=project.outputs("sftp")["SftpServerId"])["Server"]
    put(project, "trial", "killed.csv", day("killed"))
    os.kill(status["pid"], signal.SIGKILL)
    eventually(lambda: local.find(project.directory) is None, seconds=10)
    project.dataops("status", "--env", "local")
    assert "killed.csv" in keys(project, "trial")
    put(project, "acme", "after.csv", day("after"))
    after = project.client("transfer").describe_server(ServerId=project.outputs("sftp")["SftpServerId"])["Server"]
    assert after["HostKeyFingerprint"] == before["HostKeyFingerprint"]
    assert after["SecurityPolicyName"].startswith("TransferSecurityPolicy-20")


def test_the_server_writes_its_log(project: LocalProject) -> None:
    """Given uploads, when the stack's log group is read, then each has a line with user, path and size."""
    logs, stack = project.client("logs"), "refunds-lake-local-sftp"
    resource = {"StackName": stack, "LogicalResourceId": "ServerLogGroup"}
    detail = project.client("cloudformation").describe_stack_resource(**resource)["StackResourceDetail"]
    group = detail["PhysicalResourceId"]
    put(project, "trial", "logged.csv", day("logged"))
    events = logs.filter_log_events(logGroupName=group)["events"]
    closed = [each["message"] for each in events if '"CLOSE"' in each["message"] and "logged.csv" in each["message"]]
    assert len(closed) == 1 and '"user": "trial"' in closed[0] and f'"bytes-in": {len(day("logged"))}' in closed[0]


def test_the_command_uploads_what_is_new(project: LocalProject) -> None:
    """Given a file, when it is ingested twice, then it arrives once, under its final name; another user needs the right key."""
    (project.directory / "cli.csv").write_bytes(day("cli"))
    arguments = ("ingest", "--env", "local", "--route", "sftp", "cli.csv")
    sent, again = (project.document(*arguments)["files"][0] for _ in range(2))
    assert (sent["delivered"], again["delivered"]) == (True, False)
    assert sent["target"].rpartition("/")[2] in keys(project, "trial")
    refused = project.dataops(*arguments, "--user", "acme", "--key", str(key_of(project, "trial")), check=False)
    assert refused.returncode == 1 and "rejects user acme" in refused.stderr
    (sent,) = project.document(*arguments, "--user", "acme", "--key", str(key_of(project, "acme")))["files"]
    assert sent["delivered"] and sent["target"].rpartition("/")[2] in keys(project, "acme")


def test_the_job_reads_what_is_complete_and_lists_what_waits(project: LocalProject) -> None:
    """Given all these uploads, when the job runs, then waiting files are listed as such, and renamed ones count."""
    put(project, "trial", ".hidden.csv", day("hidden"))
    put(project, "trial", ".renamed.csv", day("renamed"))
    in_session(project, "trial", lambda client: client.posix_rename(".renamed.csv", "renamed.csv"))
    run = project.document("run", "--env", "local")
    waiting = {key.rpartition("/")[2] for key in run["waiting"]}
    assert {".hidden.csv", "half.csv.tmp"} <= waiting and not any("renamed" in name for name in waiting)
    assert run["problems"] == [] and run["counts"]["kept"] > 5000
    put(project, "trial", "later.csv.filepart", day("later"))  # no run has seen it
    arrivals = {each["route"]: each for each in project.document("status", "--env", "local")["arrivals"]["routes"]}
    assert {key.rpartition("/")[2] for key in arrivals["sftp"]["waiting"]} == {*waiting, "later.csv.filepart"}
    assert "later.csv.filepart" in project.dataops("status", "--env", "local").stdout
    purchases = project.document("query", "--env", "local", "select id from purchase where id like 'renamed-%'")
    assert [row[0] if isinstance(row, list) else row["id"] for row in purchases["rows"]] == ["renamed-0"]


def test_a_user_that_is_taken_out_is_removed(project: LocalProject) -> None:
    """Given a user that is no longer in dataops.yml, when it is deployed, then only that user is removed."""
    file = project.directory / "dataops.yml"
    lines = file.read_text(encoding="utf-8").splitlines()
    place = lines.index("      acme:")
    file.write_text("\n".join([*lines[: place - 1], *lines[place + 2 :]]) + "\n", encoding="utf-8")
    plan = project.dataops("--output", "json", "plan", "--env", "local", check=False)
    assert plan.returncode == 3 and "Useracme" in plan.stdout and "Usertrial" not in plan.stdout
    project.dataops("deploy", "--env", "local", "--yes", "--no-smoke")
    users = project.client("transfer").list_users(ServerId=project.outputs("sftp")["SftpServerId"])["Users"]
    assert [each["UserName"] for each in users] == ["trial"]
