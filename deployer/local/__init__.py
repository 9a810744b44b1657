"""The local cloud: the environment ``local`` on this machine.

This package starts MiniStack as a background process that deployer/local completes in-process, and says
where it answers. The deployer knows nothing else of it: it talks boto3 to the endpoint's URL.
"""

from deployer.local.process.control import find, reset, start, stop
from deployer.local.process.endpoint import Endpoint

__all__ = ["Endpoint", "find", "reset", "start", "stop"]
