"""The only way to AWS or to the local cloud: every client of the deployer is made here and guarded.

What the calls are and mean is left to their callers.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.exceptions import EndpointConnectionError

from deployer.aws.signed_calls import SignedCalls
from deployer.errors import DataopsError, Refused, UsageError
from deployer.project.config import LOCAL, Environment, Partner, Project

_log = logging.getLogger(__name__)

_LOCAL_ACCOUNT = "000000000000"  # the emulator's account for an access key id that is no account id
_SFTP_PORT = 22
_POOL = 32  # stacks and artifacts go side by side
_REFUSALS = (
    4  # so often, over about four seconds, a program on this machine may refuse a connection: it may be restarting
)


@dataclass(frozen=True)
class Access:
    """Where requests go, and as whom; None is what boto3 finds by itself.

    `sftp_port` is that of the SFTP server where it does not answer under a name of its own, `sftp_login` a user that
    everybody here may upload as, with its private key.
    """

    url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    profile: str | None = None
    sftp_port: int | None = None
    sftp_login: tuple[str, Path] | None = None

    @property
    def is_on_this_machine(self) -> bool:
        """Whether requests stay on loopback."""
        host = urlsplit(self.url or "").hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")


class Session:
    """Clients of one account and region. The first client proves who it is before anything else is called."""

    def __init__(self, project: Project, environment: Environment, access: Access) -> None:
        self.project = project
        self.environment = environment
        self.command = ""  # what runs, for the log of calls
        self._access = access
        self._clients: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._account: str | None = None
        self._boto3: boto3.Session | None = None
        self._is_endpoint_gone = False

    @property
    def region(self) -> str:
        return self.environment.region

    def client(self, service: str) -> Any:
        """Return a boto3 client, the same one each time; it can be shared between threads.

        Raise Refused when the credentials belong to another account than the environment declares.
        """
        with self._lock:
            if service != "sts" and self.environment.account is not None:
                self.verify_identity()
            if service not in self._clients:
                self._clients[service] = self._new_client(service)
            return self._clients[service]

    def available_regions(self, service: str) -> list[str]:
        """Return the regions of this partition in which boto3 knows an endpoint of a service; none for global services. Make no call."""
        with self._lock:
            found = self._boto3 = self._boto3 or self._new_boto3_session()
        return list(found.get_available_regions(service, partition_name=found.get_partition_for_region(self.region)))

    def verify_identity(self) -> str:
        """Return the account of the credentials, asking once. Raise Refused if it is not the declared one."""
        with self._lock:
            if self._account is None:
                _refuse_another_region(self.environment)
                account = str(self.client("sts").get_caller_identity()["Account"])
                _refuse_another_account(self.environment, account)
                self._account = account
            return self._account

    @property
    def sftp_login(self) -> tuple[str, Path] | None:
        """A user of the SFTP server that everybody here may upload as, and the file of its private key."""
        return self._access.sftp_login

    def sftp_address(self, endpoint: str) -> tuple[str, int]:
        """Return host and port of the SFTP server whose name on AWS is `endpoint`."""
        if self._access.sftp_port is not None:
            return "127.0.0.1", self._access.sftp_port
        return endpoint, _SFTP_PORT

    def as_partner(self) -> Session:
        """Return a session of the environment's partner. Raise UsageError if dataops.yml declares none."""
        return self._as(self.environment.partner, "partner")

    def as_third_party(self) -> Session:
        """Return a session of the environment's third-party tool. Raise UsageError if dataops.yml declares none."""
        return self._as(self.environment.third_party, "third_party")

    def _as(self, sender: Partner | None, key: str) -> Session:
        if sender is None:
            hint = f"add `{key}: {{profile: ...}}` to environment {self.environment.name} in dataops.yml"
            raise UsageError(f"environment {self.environment.name} has no {key}", hint=hint)
        return self.as_account(sender.account, sender.profile)

    def as_account(self, account: str | None, profile: str | None) -> Session:
        """Return a session of a sender at the same endpoint and in the same region."""
        environment = replace(self.environment, account=account, profile=profile)
        access = replace(self._access, profile=profile)
        if self._access.access_key_id is not None:
            access = replace(access, access_key_id=account or _LOCAL_ACCOUNT, profile=None)
        return Session(self.project, environment, access)

    def as_role(self, role_arn: str, *, external_id: str, name: str) -> Session:
        """Return a session with the permissions of a role that this session's account may assume, for an hour at most."""
        taken = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName=name, ExternalId=external_id)
        access = replace(
            self._access,
            access_key_id=taken["Credentials"]["AccessKeyId"],
            secret_access_key=taken["Credentials"]["SecretAccessKey"],
            session_token=taken["Credentials"]["SessionToken"],
            profile=None,
        )
        # The role lives in another account than the one that takes it: its ARN says in which.
        return Session(self.project, replace(self.environment, account=None, profile=None), access)

    def signed_calls(self) -> SignedCalls:
        """Return a caller of one of our own APIs, with these credentials. Raise Refused as `client` does."""
        with self._lock:
            if self.environment.account is not None:
                self.verify_identity()
            return SignedCalls(self._credentials(), through_proxy=not self._access.is_on_this_machine)

    def _new_client(self, service: str) -> Any:
        settings = _client_config(self._access)
        return self._credentials().client(service, endpoint_url=self._access.url, config=settings)

    def _credentials(self) -> boto3.Session:
        if self._boto3 is None:
            self._boto3 = self._new_boto3_session()
        return self._boto3

    def _new_boto3_session(self) -> boto3.Session:
        access = self._access
        has_keys_of_its_own = access.is_on_this_machine and access.access_key_id is not None
        session = boto3.Session(
            botocore_session=_without_settings_of_the_user() if has_keys_of_its_own else None,
            aws_access_key_id=access.access_key_id,
            aws_secret_access_key=access.secret_access_key,
            aws_session_token=access.session_token,
            profile_name=access.profile,
            region_name=self.region,
        )
        session.events.register("before-call", self._log_call)
        if access.is_on_this_machine:
            session.events.register("needs-retry", self._give_up_on_who_has_ended)
        return session

    def _give_up_on_who_has_ended(self, attempts: int, caught_exception: Exception | None, **_: Any) -> None:
        """Do not retry for minutes, as botocore does: on this machine no one listens once a program has ended."""
        if isinstance(caught_exception, EndpointConnectionError):
            self._is_endpoint_gone |= attempts >= _REFUSALS
            if self._is_endpoint_gone:
                raise caught_exception

    def _log_call(self, model: Any, **_: Any) -> None:
        _log.debug("%s: %s %s", self.command or "-", model.service_model.service_name, model.name)


def connect(
    project: Project,
    environment: Environment,
    *,
    start_local: bool = True,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> Session:
    """Return a session of an environment; start the local cloud first if the environment lives there."""
    access = _access(project, environment, start_local=start_local, say=say)
    if environment.endpoint != LOCAL:
        return Session(project, environment, access)
    from deployer import local

    # The local environment always has an SFTP user, whose key is beside the local cloud's data.
    user = local.trial_user(project.directory)
    environment = replace(environment, sftp_users={user.name: (user.public_key,), **environment.sftp_users})
    return Session(project, environment, replace(access, sftp_login=(user.name, user.private_key)))


def _access(project: Project, environment: Environment, *, start_local: bool, say: Callable[[str], None]) -> Access:
    if environment.endpoint != LOCAL:
        return Access(url=environment.endpoint, profile=environment.profile)
    from deployer import local  # here, and not above: most environments have no use for it

    endpoint = local.start(project.directory, say=say) if start_local else local.find(project.directory)
    if endpoint is None:
        raise DataopsError("the local cloud is not running", hint=f"dataops deploy --env {environment.name}")
    key_id = environment.account or _LOCAL_ACCOUNT
    return Access(endpoint.url, key_id, endpoint.secret_access_key, sftp_port=endpoint.ports.get("sftp"))


def _client_config(access: Access) -> Config:
    from deployer.version import VERSION

    settings: dict[str, Any] = {
        "retries": {"mode": "adaptive", "total_max_attempts": 8},
        "user_agent_extra": f"dataops/{VERSION}",
        "max_pool_connections": _POOL,
        "connect_timeout": 10,
    }
    if access.url is not None:  # the name of a bucket is no host name there
        settings["s3"] = {"addressing_style": "path"}
    if access.is_on_this_machine:  # no proxy has a business between two programs of one machine
        settings["proxies"] = {}
    return Config(**settings)


def _without_settings_of_the_user() -> botocore.session.Session:
    """Return a botocore session that reads no AWS_* variable and none of the files in ~/.aws."""
    defaults = BOTOCORE_DEFAUT_SESSION_VARIABLES | dict.fromkeys(
        ("config_file", "credentials_file"), (None, None, os.devnull, None)
    )
    variables = {name: (None, None, default, convert) for name, (_, _, default, convert) in defaults.items()}
    return botocore.session.Session(session_vars=variables)


def _refuse_another_region(environment: Environment) -> None:
    """Refuse a region in the environment variables that differs from the declared one: one of the two is a mistake."""
    if environment.endpoint is not None:
        return
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        region = os.environ.get(variable)
        if region and region != environment.region:
            raise Refused(
                f"environment {environment.name} is in {environment.region}, but {variable} says {region}",
                hint=f"unset {variable}, or correct `region` in dataops.yml",
            )


def _refuse_another_account(environment: Environment, account: str) -> None:
    if environment.account is not None and account != environment.account:
        raise Refused(
            f"environment {environment.name} is account {environment.account}, "
            f"but these credentials belong to account {account}",
            hint="use the credentials of that account: `profile` in dataops.yml, or AWS_PROFILE",
        )
