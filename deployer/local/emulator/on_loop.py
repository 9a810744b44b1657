"""Runs a function where the emulator's handlers run: on its event loop.

The emulator's S3 keeps its records without locks, because one thread serves them all. Code in another thread (a job
run, a query) reaches that thread through `on_loop`.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any, TypeVar

from deployer.local.emulator.private_parts import load

Result = TypeVar("Result")
WAIT_SECONDS = 120.0


def on_loop(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call `function` on the emulator's loop in the caller's account and region, and return what it returns."""
    loop = load("app")._MAIN_LOOP
    if _running() is loop:
        return function(*arguments)
    context = contextvars.copy_context()

    async def call() -> Result:
        return context.run(function, *arguments)

    return asyncio.run_coroutine_threadsafe(call(), loop).result(WAIT_SECONDS)


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
