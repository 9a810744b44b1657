"""The permissions of a sender: a client for S3 with the role that a route gives to an account that is not ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployer.errors import UsageError

if TYPE_CHECKING:
    from deployer.aws.session import Session


@dataclass(frozen=True)
class SendersRole:
    """Which role a route's sender takes, and the parameters that switch the route on."""

    route: str
    arn: str | None
    account_parameter: str
    external_id_parameter: str


def client_of_sender(session: Session, role: SendersRole, sender: Callable[[], Session]) -> Any:
    """Return a client for S3 with the permissions of the role. Raise UsageError with the parameters if there is no such route."""
    environment = session.environment
    name = role.external_id_parameter
    if variable := environment.unset.get(name):
        raise UsageError(f"{name} is not known: variable {variable} is not set", hint=f"export {variable}=...")
    external_id = environment.parameters.get(name, "")
    if role.arn is None or not external_id:
        raise UsageError(
            f"environment {environment.name} has no {role.route} route",
            hint=f"set {role.account_parameter} and {name} in dataops.yml and deploy, or choose another --route",
        )
    return sender().as_role(role.arn, external_id=external_id, name="dataops-ingest").client("s3")
