"""The version of dataops, which pip installs and CHANGELOG.md describes. It is defined only here; setup.cfg reads it."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.2.0"
