"""Secrets of an environment: which there are, what a value must look like, and how it is set. A value is never shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from deployer.aws.calls import translated
from deployer.errors import UsageError
from deployer.lake.deployed_lake import MissingOutput
from deployer.nearest import nearest


@dataclass(frozen=True)
class Secret:
    """A secret by its common name: the output with its ARN, and a function that finds what is wrong with a value."""

    name: str
    output: str
    problem: Callable[[str], str | None]


def webhook_problem(value: str) -> str | None:
    """Return why a text is not the address of a webhook, without the text, which may be the secret with a typo."""
    try:
        parts = urlsplit(value)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "it is not an address"
    if any(not 0x20 < ord(letter) < 0x7F for letter in value):
        return "it has blanks or characters that an address cannot have"
    if parts.username is not None or not host:
        return "it is not an address of the form https://host/path"
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)):
        return None
    return "it does not begin with https:// (http:// is for a receiver on this machine)"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


SECRETS: Mapping[str, Secret] = {
    secret.name: secret for secret in (Secret("slack-webhook", "SlackWebhookSecretArn", webhook_problem),)
}


def secret_named(name: str) -> Secret:
    """Return a secret. Raise UsageError with the nearest name."""
    if name in SECRETS:
        return SECRETS[name]
    meant = nearest(name, SECRETS)
    hint = f"did you mean '{meant}'?" if meant else None
    raise UsageError(f"unknown secret '{name}', known are {', '.join(SECRETS)}", hint=hint)


def checked(secret: Secret, value: str) -> str:
    """Return the value without surrounding blanks. Raise UsageError, which does not quote it."""
    found = value.strip()
    problem = secret.problem(found) if found else "it is empty"
    if problem:
        raise UsageError(f"this is not a value for {secret.name}: {problem}", hint="the value is read from stdin")
    return found


@translated
def put(secrets: Any, outputs: Mapping[str, str], secret: Secret, value: str, environment: str) -> tuple[str, str]:
    """Store a value as the current one; return the secret's ARN and the version's id. `secrets` is boto3's client."""
    if secret.output not in outputs:
        raise MissingOutput([secret.output], environment)
    stored = secrets.put_secret_value(SecretId=outputs[secret.output], SecretString=value)
    return str(stored["ARN"]), str(stored["VersionId"])
