"""What can go wrong with the local cloud, each with the operator's next step.

Only errors that an operator can act on live here; a bug keeps its traceback.
"""

from __future__ import annotations

from deployer.errors import DataopsError


class LocalCloudError(DataopsError):
    """The local cloud cannot start, answer or stop."""


class UnsupportedPython(LocalCloudError):
    """This Python cannot run the pinned Spark."""


class MissingExtra(LocalCloudError):
    """The packages of the ``[local]`` extra are absent or of another version."""


class UnusablePath(LocalCloudError):
    """The path of a directory has a character that Spark does not allow."""


class PortTaken(LocalCloudError):
    """The requested port belongs to another process."""


class NoDiskSpace(LocalCloudError):
    """The disk has too little room for the state to be safe."""
