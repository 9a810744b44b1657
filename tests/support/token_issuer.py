"""An issuer of web identity tokens like Azure DevOps: a key, its public half for the local cloud, and tokens."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from deployer.local.paths import LocalPaths

HOST = "vstoken.dev.azure.com/0f0e0d0c-0000-4000-8000-000000000001"
AUDIENCE = "api://AzureADTokenExchange"


def subject(connection: str) -> str:
    """The subject of a service connection of the test's organization and project."""
    return f"sc://acme/refunds/{connection}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Issuer:
    """Issues tokens for an hour."""

    host: str = HOST
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    def make_known(self, project_dir: Path) -> None:
        """Give the local cloud of a project the public key, which AWS would fetch."""
        numbers = self.key.public_key().public_numbers()
        n, e = (_encoded(number.to_bytes((number.bit_length() + 7) // 8)) for number in (numbers.n, numbers.e))
        path = LocalPaths.of(project_dir).issuers
        known = json.loads(path.read_text()) if path.exists() else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**known, self.url: {"keys": [{"kty": "RSA", "kid": "k1", "n": n, "e": e}]}}))

    def token(self, connection: str = "refunds-lake-uat", **claims: Any) -> str:
        """A token of a service connection; `claims` replace those that it would have."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": subject(connection), "iat": now, "exp": now + 3600}
        parts = ({"alg": "RS256", "typ": "JWT", "kid": "k1"}, {**usual, **claims})
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{_encoded(self.key.sign(signed.encode(), PKCS1v15(), SHA256()))}"
