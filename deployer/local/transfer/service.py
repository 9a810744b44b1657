"""The emulator's SFTP server uses our files, and DescribeServer returns what AWS returns.

MiniStack's own sessions bypass S3: no file on disk, no version, no encryption, and no check of the user's permissions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.transfer.resource_types import KEPT, register


def install(cloud: LocalCloud) -> None:
    """Register the types, and replace the server's sessions before it starts."""
    transfer = load("services.transfer")
    for name in ("_servers", "_users", "_sftp_normalize_virtual_path", "_sftp_resolve_s3_target", "sftp_start"):
        require(transfer, name)
    for name in ("_object_disk_path", "_in_account", "_dispatch"):
        require(load("services.s3"), name)
    register()
    build_runtime = require(transfer, "_ensure_sftp_runtime", ())

    def build_ours() -> None:
        build_runtime()
        from deployer.local.transfer.sftp_files import SftpFiles  # imports asyncssh, so only when a server starts

        # The servers have no ports of their own: the owner of a key decides which server the client reaches.
        transfer._MiniStackSFTPServer = lambda channel, restrict_to_server_id=None: SftpFiles(channel, cloud.save)  # type: ignore[attr-defined]

    replace(transfer, "_ensure_sftp_runtime", build_ours)
    describe = require(transfer, "_describe_server", ("data",))
    replace(transfer, "_describe_server", described_by(transfer, describe))


def described_by(transfer: Any, describe: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Return DescribeServer with what the emulator leaves out."""

    def describe_server(data: dict[str, Any]) -> Any:
        status, headers, body = describe(data)
        if status != 200:
            return status, headers, body
        server = json.loads(body)["Server"]
        record = transfer._servers[server["ServerId"]]
        server.update({name: record[name] for name in KEPT if name in record})
        server["HostKeyFingerprint"] = transfer._sftp_load_or_generate_host_key().get_fingerprint()
        return transfer.json_response({"Server": server})

    return describe_server
