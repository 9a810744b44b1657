"""Carries out every asynchronous invocation that Lambda has accepted, whatever happens to the local cloud.

The emulator keeps an invocation and its retries in a thread, so a kill loses what was acknowledged. Here an invocation
is part of the state until its function succeeds or its failure is kept, and continues after the next start.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import threading
import time
from collections.abc import MutableMapping
from typing import Any, Final

from deployer.local.completion import App, LocalCloud, Receive, Scope, Send
from deployer.local.emulator.on_loop import on_loop
from deployer.local.emulator.private_parts import load, replace, require

Data = dict[str, Any]
_log = logging.getLogger(__name__)

#: Seconds before each retry.
PAUSES_SECONDS: Final = (1.0, 2.0)
#: AWS's own pauses, for an invocation that a kill interrupted: what the function had claimed elsewhere may stay claimed
#: for that long. https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
PAUSES_AFTER_A_KILL: Final = (60.0, 120.0)
USUAL_RETRIES: Final = 2
USUAL_AGE_SECONDS: Final = 21_600

_invocations: Invocations | None = None


def install(cloud: LocalCloud) -> None:
    """Replace asynchronous invocation, and add the pending invocations to Lambda's state."""
    global _invocations
    functions, responses = load("services.lambda_svc"), load("core.responses")
    for name in (
        "_execute_function",
        "_route_async_failure",
        "_execution_record_for_config",
        "_get_func_record_for_ref",
    ):
        require(functions, name)
    pending = require(responses, "AccountRegionScopedDict")()
    functions._dataops_pending = pending  # type: ignore[attr-defined]  # where durability looks for a service's stores
    invocations = _invocations = Invocations(functions, pending)
    get_state, load_state = require(functions, "get_state", ()), require(functions, "load_persisted_state", ("data",))

    @functools.wraps(get_state)
    def get_all() -> Data:
        return {**get_state(), "pending": pending}

    def load_all(data: Any) -> None:
        load_state(data)
        pending.update(data.get("pending", {}))

    replace(functions, "get_state", get_all)
    replace(functions, "load_persisted_state", load_all)
    replace(functions, "invoke_async_with_retry", lambda func, event: invocations.take(func, event))


def middleware(cloud: LocalCloud, app: App) -> App:
    """Continue the invocations that the last process left, as soon as this one has its state."""

    async def starting(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_go_on(message: MutableMapping[str, Any]) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete" and _invocations is not None:
                _invocations.go_on()

        await app(scope, receive, send_and_go_on if scope["type"] == "lifespan" else send)

    return starting


class Invocations:
    """The invocations that have not ended. A record is never changed, but replaced, on the loop."""

    def __init__(self, functions: Any, pending: Any) -> None:
        self._functions, self._pending = functions, pending
        self._responses = load("core.responses")

    def take(self, func: Data, event: Any) -> None:
        """Accept an invocation; it is in the state when this returns."""
        arn = str((func.get("config") or func)["FunctionArn"])
        call = {"function": arn, "event": event, "failed": 0, "running": False, "cut": False, "taken_at": time.time()}
        _, _, _, region, account, *_ = arn.split(":")
        with self._responses.request_scope(account, region):
            name = self._responses.new_uuid()
            on_loop(self._put, name, call)
            self._begin(name)

    def go_on(self) -> None:
        """Continue the invocations of the last process; those that were running then count as cut."""
        for (account, region, name), call in list(self._pending._data.items()):
            with self._responses.request_scope(account, region):
                self._put(name, {**call, "running": False, "cut": call["cut"] or call["running"]})
                self._begin(name)

    def _put(self, name: str, call: Data) -> None:
        self._pending[name] = call

    def _begin(self, name: str) -> None:
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._carry_out, name), daemon=True).start()

    def _carry_out(self, name: str) -> None:
        """Invoke until it succeeds, or until all attempts have failed."""
        call: Data = self._pending[name]
        while True:
            function, config, _ = on_loop(self._functions._get_func_record_for_ref, call["function"])
            if not function or not config:
                _log.warning("function %s no longer exists", call["function"])
                on_loop(self._pending.pop, name, None)
                return
            on_loop(self._put, name, {**call, "running": True})
            result = self._functions._execute_function(
                self._functions._execution_record_for_config(function, config), call["event"]
            )
            if not result.get("error"):
                on_loop(self._pending.pop, name, None)
                return
            call = {**call, "failed": call["failed"] + 1}
            settings = function.get("event_invoke_config") or (function.get("event_invoke_configs") or {}).get(
                "$LATEST"
            )
            pause = pause_before_retry(call, settings or {}, time.time())
            if pause is None:
                on_loop(self._give_up, name, config, settings or {}, result)
                return
            on_loop(self._put, name, call)
            time.sleep(pause)

    def _give_up(self, name: str, config: Data, settings: Data, result: Data) -> None:
        """Send the event where the function wants its failures, and forget the invocation, in one step."""
        destination = ((settings.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
        target = destination or (config.get("DeadLetterConfig") or {}).get("TargetArn")
        if target:
            event = self._pending[name]["event"]
            self._functions._route_async_failure(target, config["FunctionName"], event, result)
        self._pending.pop(name, None)


def pause_before_retry(call: Data, settings: Data, now: float) -> float | None:
    """Return the seconds to wait before the next attempt, or None if there is none."""
    retries = settings.get("MaximumRetryAttempts")
    if call["failed"] > (USUAL_RETRIES if retries is None else int(retries)):
        return None
    pauses = PAUSES_AFTER_A_KILL if call["cut"] else PAUSES_SECONDS
    pause = pauses[min(call["failed"], len(pauses)) - 1]
    age = now - call["taken_at"] + pause
    return None if age > int(settings.get("MaximumEventAgeInSeconds", USUAL_AGE_SECONDS)) else pause
