"""What one session calls, counted by a handler of botocore's own events."""

from __future__ import annotations

from typing import Any

from deployer.aws.session import Session


def calls_of(session: Session) -> list[tuple[str, str]]:
    """Each call that a session without clients makes from now on, as ("cloudformation", "DescribeStacks")."""
    assert not session._clients, "a client has the handlers that its session had when it was made"
    calls: list[tuple[str, str]] = []

    def note(model: Any, **_: Any) -> None:
        calls.append((model.service_model.service_name, model.name))

    session._credentials().events.register("before-call", note)
    return calls
