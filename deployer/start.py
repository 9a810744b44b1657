"""The console script: from its first line on, Ctrl-C ends it with one line, even while the rest is being imported."""

import sys


def main() -> None:
    """Run dataops on the command line of this process."""
    try:
        from deployer.cli import main as run

        run()
    except KeyboardInterrupt:  # before cli.py could catch it, or a second one while it cleans up
        sys.stderr.write("interrupted\n")
        sys.exit(130)
