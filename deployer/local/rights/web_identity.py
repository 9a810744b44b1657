"""AssumeRoleWithWebIdentity checks the token: its provider, audience, subject, expiry and signature.

AWS fetches an issuer's keys from the issuer. Here they are in `issuers.json` beside the state, so that a test can be an
issuer; a token of any other issuer is refused, as AWS does when it cannot reach an issuer. The emulator evaluates the
role's trust policy afterwards.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, replace, require

ALGORITHM = "RS256"


class Refusal(Exception):
    """Why a token gives no session: AWS's code and words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def install(cloud: LocalCloud) -> None:
    """Check the token before the emulator evaluates the role's trust policy."""
    sts = load("services.sts")
    require(load("services.iam"), "_oidc_providers")
    trust_denied = require(sts, "_web_identity_trust_denied", ("role_arn", "params", "use_json"))

    def web_identity_trust_denied(role_arn: str, params: Mapping[str, Any], use_json: bool) -> Any:
        try:
            check_token(cloud.paths.issuers, role_arn, sts._p(params, "WebIdentityToken"))
        except Refusal as refusal:
            return sts._error(400, refusal.code, str(refusal), ns="sts")
        return trust_denied(role_arn, params, use_json)

    replace(sts, "_web_identity_trust_denied", web_identity_trust_denied)


def check_token(issuers: Path, role_arn: str, token: str) -> None:
    """Raise `Refusal` unless the token is its issuer's, for this account, and has not expired."""
    header, claims = _part(token, 0), _part(token, 1)
    issuer = str(claims.get("iss", ""))
    provider = _provider(role_arn, issuer)
    _require_signature(token, header, _keys(issuers, issuer))
    if float(claims.get("exp", 0)) <= time.time():
        raise Refusal(
            "ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time"
        )
    if claims.get("aud") not in provider["ClientIDList"]:
        raise Refusal("InvalidIdentityToken", "Incorrect token audience")


def _provider(role_arn: str, issuer: str) -> Mapping[str, Any]:
    """Return the provider of an issuer in the account of a role."""
    account = role_arn.split(":")[4]
    arn = f"arn:aws:iam::{account}:oidc-provider/{issuer.removeprefix('https://').rstrip('/')}"
    found: Mapping[str, Any] | None = load("services.iam")._oidc_providers.get_scoped(account, None, arn)
    if found is None or not issuer.startswith("https://"):
        raise Refusal("InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {issuer}")
    return found


def _part(token: str, number: int) -> Mapping[str, Any]:
    """Return the header (0) or the claims (1) of a token."""
    try:
        found = json.loads(_bytes(token.split(".")[number]))
    except (ValueError, IndexError) as error:
        raise Refusal("InvalidIdentityToken", "The ID Token provided is not a valid JWT") from error
    if not isinstance(found, dict):
        raise Refusal("InvalidIdentityToken", "The ID Token provided is not a valid JWT")
    return found


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _keys(issuers: Path, issuer: str) -> list[Mapping[str, str]]:
    known = json.loads(issuers.read_text(encoding="utf-8")) if issuers.exists() else {}
    if issuer not in known:
        message = "Couldn't retrieve verification key from your identity provider, please reference "
        raise Refusal("InvalidIdentityToken", message + "AssumeRoleWithWebIdentity documentation for requirements")
    keys: list[Mapping[str, str]] = known[issuer]["keys"]
    return keys


def _require_signature(token: str, header: Mapping[str, Any], keys: list[Mapping[str, str]]) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
    from cryptography.hazmat.primitives.hashes import SHA256

    signed, _, signature = token.rpartition(".")
    for key in keys:
        if header.get("alg") != ALGORITHM or header.get("kid") != key["kid"]:
            continue
        numbers = RSAPublicNumbers(*(int.from_bytes(_bytes(key[name])) for name in ("e", "n")))
        try:
            numbers.public_key().verify(_bytes(signature), signed.encode(), PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            break
        return
    raise Refusal(
        "InvalidIdentityToken", "The ID Token provided could not be validated: its signature is not the issuer's"
    )
