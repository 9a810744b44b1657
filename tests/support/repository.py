"""Where the repository is: tests say it by name, so that they may lie in any folder."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
