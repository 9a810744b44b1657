"""The environment variables of the local cloud's processes, built from nothing.

The launcher and the jobs that it starts must never see real AWS credentials, so they inherit only what describes the
machine; every variable that begins with ``AWS_`` is set here.
"""

from __future__ import annotations

from collections.abc import Mapping

from deployer.local.paths import LocalPaths

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "ap-southeast-2"
SECRET_ACCESS_KEY = "local"

#: The only variables that come from the user's shell. Proxies are left out on purpose: all traffic is on loopback.
INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "XDG_CACHE_HOME", "VIRTUAL_ENV")


def base_environment(outer: Mapping[str, str], paths: LocalPaths) -> dict[str, str]:
    """Return a clean environment for any process of the local cloud, with its temporary files inside the checkout."""
    inherited = {name: outer[name] for name in INHERITED if name in outer}
    return {
        **inherited,
        "TMPDIR": str(paths.temporary),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": "UTC",
        # No profile, no instance metadata: a client without our endpoint must fail instead of reaching an account.
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def launcher_environment(outer: Mapping[str, str], paths: LocalPaths) -> dict[str, str]:
    """Return the variables that MiniStack reads when it is imported; the launcher adds its ports.

    Their paths are relative to the launcher's working directory, so that a checkout can be moved while it serves.
    """
    return {
        **base_environment(outer, paths),
        "BIND_HOST": "127.0.0.1",
        "SFTP_HOST": "127.0.0.1",
        "MINISTACK_HOST": "localhost",
        "IOT_MTLS_ENABLED": "0",
        "AUTH": "true",  # evaluates policies; see deployer/local/rights
        "MINISTACK_REGION": DEFAULT_REGION,
        "MINISTACK_ACCOUNT_ID": DEFAULT_ACCOUNT,
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(paths.objects.relative_to(paths.root)),
        "PERSIST_STATE": "1",
        "STATE_DIR": str(paths.state.relative_to(paths.root)),
        "LOG_LEVEL": outer.get("DATAOPS_LOCAL_LOG_LEVEL", "INFO"),
        # A socket that does not exist: the emulator then never imports the Docker client.
        "DOCKER_HOST": "unix:///nonexistent/dataops-local-uses-no-docker.sock",
    }


def client_environment(outer: Mapping[str, str], paths: LocalPaths, *, url: str, region: str) -> dict[str, str]:
    """Return the variables for a child that calls the local cloud (a Glue job); its role's credentials are added separately."""
    return {
        **base_environment(outer, paths),
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
    }
