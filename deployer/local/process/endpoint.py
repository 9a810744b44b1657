"""What a client must know to talk to a local cloud, and how it is written down and found again.

The launcher writes the file when it serves; whether it still serves is asked, never assumed.
"""

from __future__ import annotations

import hashlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from deployer.local.process.environment import DEFAULT_ACCOUNT, DEFAULT_REGION, SECRET_ACCESS_KEY

HEALTH_PATH = "/_dataops/health"
PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Endpoint:
    """A local cloud that answers. `ports` names every port it may listen on, all on 127.0.0.1."""

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
    """What all of deployer/local is made of: a launcher that runs other code than this is to be restarted."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{file.relative_to(PACKAGE)}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def describe(pid: int, ports: Mapping[str, int], version: str, instance: str) -> Endpoint:
    """The endpoint of a launcher that listens on ``ports["gateway"]``."""
    return Endpoint(
        url=f"http://127.0.0.1:{ports['gateway']}",
        region=DEFAULT_REGION,
        access_key_id=DEFAULT_ACCOUNT,
        secret_access_key=SECRET_ACCESS_KEY,
        pid=pid,
        ports=dict(ports),
        version=version,
        instance=instance,
        code=code_fingerprint(),
    )


def write(path: Path, endpoint: Endpoint) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(asdict(endpoint), indent=2) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def read(path: Path) -> Endpoint | None:
    """What the last launcher wrote, or None when there is nothing readable."""
    try:
        return Endpoint(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def answers(endpoint: Endpoint, *, timeout_seconds: float = 2.0) -> bool:
    """Whether this very launcher answers there, and not another program that got its port."""
    request = urllib.request.Request(endpoint.url + HEALTH_PATH)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_seconds) as response:
            return bool(json.load(response).get("instance") == endpoint.instance)
    except (urllib.error.URLError, OSError, ValueError):
        return False
