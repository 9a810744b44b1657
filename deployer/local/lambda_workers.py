"""Gives Lambda functions only what Lambda has: their code, the runtime's boto3, and Lambda's own variables.

The emulator runs a function with its own interpreter and environment. A function that lacks a package, or reads a
variable that only this machine has, would work here and fail on AWS. So the worker restarts without these packages and
variables before it imports the function. What the function logs is written as its LoggingConfig says.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import EmulatorChanged, load, replace, require

#: boto3 and the packages that it imports; Lambda's Python has all of them.
RUNTIME_PACKAGES: Final = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
#: The variables of the launcher that a worker keeps: those that Lambda sets, the emulator's own, and TMPDIR.
KEPT_VARIABLES: Final = re.compile(r"AWS_\w+|_?LAMBDA_\w+|_MINISTACK_\w+|TMPDIR")
LAMBDA_VARIABLES: Final = {"LANG": "en_US.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin", "TZ": ":UTC"}

# The worker's first lines. -I leaves out PYTHON variables and the user's packages, -S leaves out site-packages.
_PRELUDE: Final = r"""
import os, re, sys
if not sys.flags.isolated:
    kept = {name: value for name, value in os.environ.items() if re.fullmatch(KEPT_VARIABLES, name)}
    os.execve(sys.executable, [sys.executable, "-I", "-S", __file__], {**kept, **LAMBDA_VARIABLES})
sys.path.append(RUNTIME_DIRECTORY)

def log_as_lambda():
    # https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
    import json, logging, time
    class Json(logging.Formatter):
        converter = time.gmtime
        def format(self, record):
            line = {"timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"), "level": record.levelname,
                    "message": record.getMessage(), "logger": record.name}
            if record.exc_info:
                kind, error, _ = record.exc_info
                line |= {"errorType": kind.__name__, "errorMessage": str(error),
                         "stackTrace": self.formatException(record.exc_info).splitlines()}
            return json.dumps(line)
    class Text(logging.Formatter):
        converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    is_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"
    handler.setFormatter(Json() if is_json else Text("[%(levelname)s]\t%(asctime)s\t%(message)s"))
    logging.getLogger().addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL")
    if level:
        logging.getLogger().setLevel({"TRACE": "DEBUG", "FATAL": "CRITICAL", "WARN": "WARNING"}.get(level, level))

log_as_lambda()
"""


def install(cloud: LocalCloud) -> None:
    """Isolate Python's workers, and pass them their function's LoggingConfig."""
    runtime = load("core.lambda_runtime")
    packages = link_packages(cloud.paths.temporary / "lambda-runtime")
    if "import sys, json, importlib" not in require(runtime, "_PYTHON_WORKER_SCRIPT"):
        raise EmulatorChanged("the emulator's Python worker has changed")
    runtime._PYTHON_WORKER_SCRIPT = prelude(packages) + runtime._PYTHON_WORKER_SCRIPT  # type: ignore[attr-defined]
    credentials = require(runtime, "execution_credentials", ("config",))

    # Of the calls that build the worker's environment, only this one receives the function's configuration.
    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        return {**credentials(config), **logging_variables(config.get("LoggingConfig") or {})}

    replace(runtime, "execution_credentials", execution_credentials)


def prelude(packages: Path) -> str:
    """Return the worker's first lines, with the variables to keep and the location of the runtime's packages."""
    values = {
        "KEPT_VARIABLES": KEPT_VARIABLES.pattern,
        "LAMBDA_VARIABLES": LAMBDA_VARIABLES,
        "RUNTIME_DIRECTORY": str(packages),
    }
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()) + _PRELUDE


def link_packages(directory: Path) -> Path:
    """Make a directory that holds boto3 and the packages that it needs, and no other package of this interpreter."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in RUNTIME_PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise EmulatorChanged(f"{name} is not installed; boto3 needs it in the functions of the local cloud")
        source = Path(spec.origin)
        source = source.parent if source.name == "__init__.py" else source
        link = directory / source.name
        if not link.exists():
            link.symlink_to(source)
    return directory


def logging_variables(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables with which Lambda tells its runtime how to log."""
    names = {
        "AWS_LAMBDA_LOG_FORMAT": "LogFormat",
        "AWS_LAMBDA_LOG_GROUP_NAME": "LogGroup",
        "AWS_LAMBDA_LOG_LEVEL": "ApplicationLogLevel",
    }
    return {variable: str(config[name]) for variable, name in names.items() if name in config}
