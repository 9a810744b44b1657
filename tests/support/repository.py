"""Where the repository is: tests import it from here, so that they can be in any folder."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
