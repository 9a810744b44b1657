"""Route 2, SFTP: sends each file under a waiting name and renames it when it is complete, as senders should."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.errors import DataopsError, UsageError
from deployer.lake.delivery.delivery import Delivery, size_text
from deployer.lake.delivery.files import RawFile
from deployer.lake.deployed_lake import Lake
from deployer.printable import printable

if TYPE_CHECKING:
    from deployer.aws.session import Session

WAITING = ".tmp"
CONNECT_SECONDS = 30


@dataclass(frozen=True)
class Login:
    """Where the server is, which host key it must have, and as whom to go there."""

    host: str
    port: int
    fingerprint: str
    user: str
    key: Path


def deliver_sftp(
    session: Session,
    lake: Lake,
    files: Sequence[RawFile],
    say: Callable[[str], None],
    *,
    user: str | None = None,
    key: Path | None = None,
) -> list[Delivery]:
    """Upload the files one after the other; content that the user's folder has under its name already is skipped."""
    login = _login(session, lake, user, key)
    return asyncio.run(_upload(login, files, say))


def _login(session: Session, lake: Lake, user: str | None, key: Path | None) -> Login:
    environment = session.environment.name
    if lake.sftp_server is None or lake.sftp_endpoint is None:
        hint = 'set SftpServer: "ON" in dataops.yml and deploy, or choose another --route'
        raise UsageError(f"environment {environment} has no SFTP route", hint=hint)
    if (user is None) != (key is None):
        raise UsageError("--user and --key must be given together", hint="--user acme --key ~/.ssh/acme_ed25519")
    given = (user, key) if user is not None and key is not None else session.sftp_login
    if given is None:
        raise UsageError("no user to log in as", hint="--user NAME --key FILE, a user of `sftp_users` in dataops.yml")
    if not given[1].is_file():
        raise UsageError(f"{given[1]}: no such file", hint="--key takes the private key, not the .pub file")
    server = lake.transfer.describe_server(ServerId=lake.sftp_server)["Server"]
    host, port = session.sftp_address(lake.sftp_endpoint)
    return Login(host, port, server["HostKeyFingerprint"], *given)


async def _upload(login: Login, files: Sequence[RawFile], say: Callable[[str], None]) -> list[Delivery]:
    asyncssh = _asyncssh()
    deliveries = []
    try:
        async with await _connect(asyncssh, login) as connection, connection.start_sftp_client() as sftp:
            there = set(await sftp.listdir("/"))
            for number, file in enumerate(files, start=1):
                name = file.object_name()
                is_new = name not in there
                if is_new:
                    await sftp.put(str(file.path), f"/{name}{WAITING}")
                    await sftp.rename(f"/{name}{WAITING}", f"/{name}")
                there.add(name)
                target = f"transactions/source=sftp/{login.user}/{name}"
                deliveries.append(Delivery(file.path, target, is_new, file.size_bytes))
                done = "delivered" if is_new else "skipped: this content was already delivered"
                say(f"{number}/{len(files)} {printable(file.path.name)} ({size_text(file.size_bytes)}) {done}")
    except asyncssh.PermissionDenied as error:
        raise DataopsError(
            f"the SFTP server rejects user {login.user} with the key {login.key}",
            hint="dataops sftp add-user writes a user to dataops.yml, and the next deployment creates the user",
        ) from error
    except (asyncssh.Error, OSError) as error:
        where = f"sftp://{login.user}@{login.host}:{login.port}"
        hint = "run the same command again to send what is missing"
        raise DataopsError(f"the upload was interrupted: {error}", where=where, hint=hint) from error
    return deliveries


async def _connect(asyncssh: Any, login: Login) -> Any:
    class Client(asyncssh.SSHClient):  # type: ignore[misc]  # the module is a value here
        """Trusts the one host key that AWS names."""

        def validate_host_public_key(self, host: str, addr: str, port: int, key: Any) -> bool:
            return bool(key.get_fingerprint() == login.fingerprint)

    return await asyncssh.connect(
        login.host,
        login.port,
        client_factory=Client,
        username=login.user,
        client_keys=[str(login.key)],
        agent_path=None,
        config=None,
        known_hosts=([], [], []),
        login_timeout=CONNECT_SECONDS,
        connect_timeout=CONNECT_SECONDS,
    )


def _asyncssh() -> Any:
    try:
        import asyncssh
    except ImportError as error:
        raise UsageError("route sftp needs asyncssh", hint="pip install asyncssh") from error
    return asyncssh
