"""The version of dataops: what pip installs and CHANGELOG.md describes. It stands here alone; setup.cfg reads it from here."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.2.0"
