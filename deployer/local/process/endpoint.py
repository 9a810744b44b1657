"""What a client must know to reach a local cloud, and the file that stores it.

The launcher writes the file once it serves. A client never assumes that it still serves, but asks.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from deployer.local.paths import private
from deployer.local.process.environment import DEFAULT_ACCOUNT, DEFAULT_REGION, SECRET_ACCESS_KEY

HEALTH_PATH = "/_dataops/health"
PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Endpoint:
    """The address and the identity of a local cloud. `ports` are all the ports that it may listen on, on 127.0.0.1."""

    url: str
    region: str
    access_key_id: str
    secret_access_key: str
    pid: int
    ports: Mapping[str, int]
    version: str
    instance: str
    code: str


def code_fingerprint() -> str:
    """Return a fingerprint of deployer/local: a launcher that runs other code must be restarted."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{file.relative_to(PACKAGE)}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def describe(pid: int, ports: Mapping[str, int], version: str, instance: str, code: str) -> Endpoint:
    """Return the endpoint of a launcher that listens on ``ports["gateway"]``."""
    return Endpoint(
        url=f"http://127.0.0.1:{ports['gateway']}",
        region=DEFAULT_REGION,
        access_key_id=DEFAULT_ACCOUNT,
        secret_access_key=SECRET_ACCESS_KEY,
        pid=pid,
        ports=dict(ports),
        version=version,
        instance=instance,
        code=code,
    )


def write(path: Path, endpoint: Endpoint) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    unfinished = path.with_suffix(".tmp")
    with open(unfinished, "w", encoding="utf-8", opener=private) as file:
        file.write(json.dumps(asdict(endpoint), indent=2) + "\n")
    os.replace(unfinished, path)


def read(path: Path) -> Endpoint | None:
    """Return what the last launcher wrote, or None if there is no file, or one that no launcher can have written."""
    try:
        found = Endpoint(**json.loads(path.read_text(encoding="utf-8")))
        written = describe(found.pid, found.ports, found.version, found.instance, found.code)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    are_ports = all(isinstance(port, int) and 0 < port < 1 << 16 for port in found.ports.values())
    return found if found == written and are_ports else None


def health(endpoint: Endpoint, root: Path) -> dict[str, str | int]:
    """Return how a launcher identifies itself: its instance, its process and the directory that it serves."""
    return {"instance": endpoint.instance, "pid": endpoint.pid, "root": str(root)}


def answers(endpoint: Endpoint, root: Path, *, timeout_seconds: float = 2.0) -> bool:
    """Return whether this very launcher answers and serves `root`.

    Another program may have its port by now, and a copied checkout still has the address of the original's local cloud.
    """
    request = urllib.request.Request(endpoint.url + HEALTH_PATH)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_seconds) as response:
            return bool(json.load(response) == health(endpoint, root))
    except (OSError, ValueError, http.client.HTTPException):
        return False
