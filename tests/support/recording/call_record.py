"""Records which AWS calls the deployer's code makes while tests run, in the folder that DATAOPS_CALLS_FOLDER names.

Each kind of call is an empty file, named after the running command ("-" if there is none), the service and the
operation: many processes write at once, and file names cannot get mixed up as lines can. The deployer knows nothing of
this: its sessions are watched in the process of the tests and, by sitecustomize.py, in the programs that they start.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from on_import import when_imported

VARIABLE = "DATAOPS_CALLS_FOLDER"
NO_COMMAND = "-"
SESSION = "deployer.aws.session"
FOLDER = Path(__file__).parent
_LIBRARIES = ("boto3", "botocore", "s3transfer", "concurrent", "threading", __name__, SESSION)
# botocore makes this call to get credentials; AWS checks the token, and no policy of the caller.
_OF_NOBODY = {("sts", "AssumeRoleWithWebIdentity")}
_OURS = ("deployer", "refunds_checks", "refunds_lake", "refunds_statements")


def install() -> None:
    """Watch every session of this process."""
    when_imported(SESSION, watch)


def watch(module: ModuleType) -> None:
    """Record the calls of all sessions of the module, except those of somebody else, whose permissions are not ours."""
    ours, others = module.Session._log_call, ("as_account", "as_role")

    def recorded(session: Any, model: Any, **rest: Any) -> None:
        ours(session, model, **rest)
        if not getattr(session, "is_somebody_else", False):
            record(session.command, model.service_model.service_name, model.name)

    def marked(make: Any) -> Any:
        def somebody_else(session: Any, *arguments: Any, **named: Any) -> Any:
            made = make(session, *arguments, **named)
            made.is_somebody_else = True
            return made

        return somebody_else

    module.Session._log_call = recorded
    for name in others:
        setattr(module.Session, name, marked(getattr(module.Session, name)))


def record(command: str, service: str, operation: str) -> None:
    """Record a call in the folder, unless a test makes it with a session of ours."""
    folder = os.environ.get(VARIABLE)
    if folder and (service, operation) not in _OF_NOBODY and _is_ours():
        (Path(folder) / f"{command.partition(' ')[0] or NO_COMMAND} {service} {operation}").touch()


def read(folder: Path) -> set[tuple[str, str, str]]:
    """The recorded calls: command, service, operation. Commands are recorded beside them, under the program's name."""
    names = (file.name.split() for file in folder.iterdir())
    return {(words[0], words[1], words[2]) for words in names if words[0] != "dataops"}


def _is_ours() -> bool:
    """Whether the code that called boto3 is the deployer's or the job library's."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        name = str(frame.f_globals.get("__name__", ""))
        package = name.partition(".")[0]
        if package not in _LIBRARIES and name not in _LIBRARIES:
            return package in _OURS
    return False
