"""Public SSH keys in OpenSSH's form: finds what is wrong with one before AWS is asked."""

from __future__ import annotations

import base64
import binascii

# https://docs.aws.amazon.com/transfer/latest/userguide/key-management.html
KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
LEAST_RSA_BITS = 2048
ED25519_BYTES = 32


def problem_of_key(text: str) -> str | None:
    """Say why a line is no public key that the SFTP server takes, None when it is one."""
    if "PRIVATE KEY" in text:
        return "this is a private key: give the .pub file, and create a new pair, because this key has been exposed"
    kind, _, rest = text.strip().partition(" ")
    if kind not in KEY_TYPES:
        return f"not a public key of a known type; known are {', '.join(KEY_TYPES)}"
    try:
        fields = _fields(base64.b64decode(rest.partition(" ")[0], validate=True))
    except (binascii.Error, ValueError):
        return f"the {kind} key is damaged: copy the whole line of the .pub file"
    if not fields or fields[0] != kind.encode():
        return f"the line says {kind}, but its content is a different type of key"
    if kind == "ssh-ed25519" and (len(fields) != 2 or len(fields[1]) != ED25519_BYTES):
        return f"the {kind} key is damaged: copy the whole line of the .pub file"
    if kind == "ssh-rsa" and (len(fields) != 3 or int.from_bytes(fields[2]).bit_length() < LEAST_RSA_BITS):
        return f"an RSA key must have at least {LEAST_RSA_BITS} bits"
    return None


def _fields(blob: bytes) -> list[bytes]:
    """Return the fields of a key, each of which states its length; raise ValueError if they do not fill it."""
    fields = []
    while blob:
        size = int.from_bytes(blob[:4])
        if len(blob) < 4 + size:
            raise ValueError("cut off")
        fields.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    return fields
