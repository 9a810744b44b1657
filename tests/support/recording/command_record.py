"""Records which commands of dataops are carried out while tests run: one empty file each, beside those of the AWS calls.

A file is named after the verb and the names of the options given. A command that is refused or fails is not recorded; one
that a person stops is, as with `--follow`. Production code knows nothing of it: click is watched.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

from call_record import VARIABLE
from on_import import when_imported

CLI = "deployer.cli"
PROGRAM = "dataops"
FAILED = "failed"
NOT_CARRIED_OUT = (FAILED, 2, 5, 6)  # exit codes: usage, locked, refused


def install() -> None:
    """Watch the command line of this process."""
    when_imported(CLI, watch)


def watch(module: ModuleType) -> None:
    """Record each command below the module's command line that comes to its end."""
    click = module.click
    ours = click.Command.invoke

    def invoke(command: Any, context: Any) -> Any:
        code: Any = 0
        try:
            code = ours(command, context)
        except click.exceptions.Exit as ended:
            code = ended.exit_code
            raise
        except Exception:
            code = FAILED
            raise
        finally:
            if (
                code not in NOT_CARRIED_OUT
                and not isinstance(command, click.Group)
                and context.find_root().command is module.cli
            ):
                record(*described(context))
        return code

    click.Command.invoke = invoke


def record(verb: str, options: frozenset[str]) -> None:
    """Record a command in the folder."""
    folder = os.environ.get(VARIABLE)
    if folder:
        (Path(folder) / " ".join([PROGRAM, verb, *sorted(options)])).touch()


def read(folder: Path) -> set[tuple[str, frozenset[str]]]:
    """The recorded commands: verbs, and the options of each."""
    names = [file.name.split()[1:] for file in folder.glob(f"{PROGRAM} *")]
    return {
        (
            " ".join(word for word in words if not word.startswith("-")),
            frozenset(word for word in words if word.startswith("-")),
        )
        for words in names
    }


def described(context: Any) -> tuple[str, frozenset[str]]:
    """The verb of a command's context and the names of the options given, global ones included."""
    words: list[str] = []
    options: set[str] = set()
    while context is not None:
        options |= _given(context)
        if context.parent is not None:
            words.insert(0, context.info_name)
        context = context.parent
    return " ".join(words), frozenset(options)


def _given(context: Any) -> set[str]:
    """The options that stand there; of flags that choose one value, the chosen one."""
    return {
        max(parameter.opts, key=len)
        for parameter in context.command.params
        if parameter.param_type_name == "option"
        and getattr(context.get_parameter_source(parameter.name), "name", None) == "COMMANDLINE"
        and (not parameter.is_flag or context.params.get(parameter.name, True) in (True, parameter.flag_value))
    }
