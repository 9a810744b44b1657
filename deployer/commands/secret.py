"""dataops secret: set the value of a secret; no command shows one."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import click

from deployer.composition.environment import stack_outputs
from deployer.documents import as_document
from deployer.lake.secrets import checked, put, secret_named
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples


@dataclass(frozen=True)
class SecretSet:
    """The secret that has a new value."""

    env: str  #: the environment
    secret: str  #: its name, as given
    arn: str  #: its ARN in Secrets Manager
    secret_version: str  #: the version with the new value; the value itself is never shown


@click.group("secret")
def secret_group() -> None:
    """Set the secrets of an environment, which are stored in no file."""


@secret_group.command(
    "set",
    epilog=examples(
        "dataops secret set --env prod slack-webhook < webhook.txt",
        "pass show slack/refunds | dataops secret set --env prod slack-webhook",
    ),
)
@env_option
@click.argument("name")
@click.pass_obj
def set_secret(app: App, env_name: str, name: str) -> None:
    """Read a value from stdin and make it the current value of NAME.

    slack-webhook: the address of Slack's incoming webhook, which receives the alerts.
    """
    secret = secret_named(name)
    app.environment(env_name)
    value = checked(secret, _read())
    session = app.connect(env_name)
    arn, version = put(session.client("secretsmanager"), stack_outputs(session), secret, value, env_name)
    app.emit(
        as_document(SecretSet(env_name, secret.name, arn, version)), f"{secret.name} of {env_name} has a new value"
    )


def _read() -> str:
    """Return the value: typed invisibly on a terminal, else all of stdin."""
    if sys.stdin.isatty():
        return str(click.prompt("value", hide_input=True, err=True))
    return sys.stdin.read()
