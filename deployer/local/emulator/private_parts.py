"""The only access to the emulator's private names.

MiniStack has no plug-in interface, so the completions replace private names of exactly one version. They get each name
through `require`, which fails loudly if the name is gone or takes other parameters than the completion expects.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

#: The version every completion was written and tested against.
WRITTEN_AGAINST = "1.5.33"


class EmulatorChanged(Exception):
    """The installed emulator is not the one that the completions complete."""


class UnknownState(Exception):
    """The state was written by another version of this program."""


def check_version() -> None:
    """Raise `EmulatorChanged` unless exactly the version that the completions were written against is installed."""
    try:
        installed = version("ministack")
    except PackageNotFoundError as error:
        raise EmulatorChanged(f"ministack {WRITTEN_AGAINST} is not installed") from error
    if installed != WRITTEN_AGAINST:
        raise EmulatorChanged(
            f"ministack {installed} is installed, but the completions in deployer/local were written against "
            f"{WRITTEN_AGAINST}; see docs/local-cloud.md for how to upgrade"
        )


def load(name: str) -> ModuleType:
    """Return a module of the emulator, e.g. ``load("services.glue")``."""
    return importlib.import_module(f"ministack.{name}")


def require(module: ModuleType, name: str, parameters: Sequence[str] | None = None) -> Any:
    """Return the attribute `name` of `module`; given `parameters`, it must be a callable with exactly these names."""
    found = getattr(module, name, None)
    if found is None:
        raise EmulatorChanged(f"{module.__name__} has no {name!r} any more")
    if parameters is not None:
        actual = tuple(inspect.signature(found).parameters)
        if actual != tuple(parameters):
            raise EmulatorChanged(f"{module.__name__}.{name} takes {actual}, expected {tuple(parameters)}")
    return found


def replace(module: ModuleType, name: str, replacement: Any) -> Any:
    """Replace a callable by one with the same parameters; return the original."""
    original = require(module, name, tuple(inspect.signature(replacement).parameters))
    setattr(module, name, replacement)
    return original
