"""Only programs on this machine reach the local cloud."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from local_cloud import Cloud

from deployer.local.process.guard import is_own_host, refusal


def request(cloud: Cloud, path: str, **headers: str) -> int:
    """The status of a bare POST with exactly these headers."""
    port = cloud.endpoint.ports["gateway"]
    lines = [f"POST {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "Content-Length: 0", "Connection: close", "", ""]).encode())
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("path", ["/", "/_ministack/reset", "/_ministack/config", "/_dataops/health"])
def test_a_web_page_is_refused_on_every_path(local_cloud: Cloud, path: str) -> None:
    """Given an Origin, a foreign Host or a cross-site fetch, then the answer is 403, also on the emulator's admin paths."""
    own = f"127.0.0.1:{local_cloud.endpoint.ports['gateway']}"
    bucket = local_cloud.bucket()
    assert request(local_cloud, path, Host=own, Origin="https://example.org") == 403
    assert request(local_cloud, path, Host=own, Origin="null") == 403
    assert request(local_cloud, path, Host="rebound.example.org") == 403
    assert request(local_cloud, path, Host=f"rebound.example.org:{local_cloud.endpoint.ports['gateway']}") == 403
    assert request(local_cloud, path, Host=own, Sec_Fetch_Site="cross-site") == 403
    local_cloud.client("s3").head_bucket(Bucket=bucket)


def test_an_sdk_passes(local_cloud: Cloud) -> None:
    """Given what an AWS SDK sends, then it is served under both names of loopback."""
    assert refusal({"host": ["localhost:4566"]}, 4566) is None
    assert is_own_host("abc.execute-api.localhost:4566", 4566)
    assert not is_own_host("localhost.example.org:4566", 4566)
    assert not is_own_host("localhost:4567", 4566)
    assert not is_own_host("localhost", 4566)
    assert is_own_host("127.0.0.1", 80)
    assert is_own_host("localhost:80", 80)
    assert not is_own_host("127.0.0.1:4566", 80)
    assert local_cloud.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_every_port_is_bound_to_loopback(local_cloud: Cloud) -> None:
    """Given a local cloud with a Transfer server, then none of its sockets listens on another interface."""
    transfer = local_cloud.client("transfer")
    server = transfer.create_server(Protocols=["SFTP"])["ServerId"]
    try:
        listening = listening_sockets(local_cloud.endpoint.pid)
        assert {port for _, port in listening} >= {local_cloud.endpoint.ports["gateway"]}
        assert {address for address, _ in listening} == {"127.0.0.1"}
    finally:
        transfer.delete_server(ServerId=server)


def listening_sockets(pid: int) -> set[tuple[str, int]]:
    """Address and port of every TCP socket on which the process listens (Linux)."""
    inodes = {
        link.readlink().name[len("socket:[") : -1]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink() and str(link.readlink()).startswith("socket:[")
    }
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                raw, _, port = fields[1].partition(":")
                packed = bytes.fromhex(raw)
                words = [packed[at : at + 4][::-1] for at in range(0, len(packed), 4)]
                found.add((socket.inet_ntop(family, b"".join(words)), int(port, 16)))
    return found
