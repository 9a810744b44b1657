"""What Lambda does with a function's role besides running it: writes the function's log, and keeps failed events.

The function itself gets its role's credentials from the emulator. Without these permissions, its log and its failed
events are lost, as on AWS.
"""

from __future__ import annotations

from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.rights.judging import Denied
from deployer.local.rights.roles import SENDS, taken_by


def install(cloud: LocalCloud) -> None:
    """Check the function's role before its log is written and before a failed event is kept."""
    functions = load("services.lambda_svc")
    write = require(
        functions,
        "_emit_lambda_logs",
        ("func", "request_id", "log_text", "error", "duration_ms", "log_source"),
    )
    keep = require(functions, "_route_async_failure", ("target_arn", "func_name", "event", "result"))

    def emit_lambda_logs(
        func: Any, request_id: str, log_text: str, error: bool, duration_ms: int, *, log_source: str | None = None
    ) -> None:
        config = func.get("config") or func
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config.get('FunctionName')}"
        responses, logs = load("core.responses"), load("services.cloudwatch_logs")
        arn = f"arn:aws:logs:{responses.get_region()}:{responses.get_account_id()}:log-group:{group}"
        needed = [(f"logs:{action}", f"{arn}:log-stream:new") for action in ("CreateLogStream", "PutLogEvents")]
        if group not in logs._log_groups:
            needed.append(("logs:CreateLogGroup", arn))
        if _may(functions, config, needed):
            write(func, request_id, log_text, error, duration_ms, log_source=log_source)

    def route_async_failure(target_arn: str, func_name: str, event: Any, result: Any) -> None:
        config = (functions._functions.get(func_name) or {}).get("config") or {}
        action = SENDS.get(target_arn.split(":")[2], "")
        if _may(functions, config, [(action, target_arn)]):
            keep(target_arn, func_name, event, result)

    replace(functions, "_emit_lambda_logs", emit_lambda_logs)
    replace(functions, "_route_async_failure", route_async_failure)


def _may(functions: Any, config: Any, needed: list[tuple[str, str]]) -> bool:
    """Return whether the function's role may do all this; log what it may not."""
    try:
        role = taken_by("lambda.amazonaws.com", str(config.get("Role", "")), str(config.get("FunctionName", "")))
        for action, resource in needed:
            role.require(action, resource)
    except Denied as denied:
        functions.logger.error("function %s: %s", config.get("FunctionName"), denied)
        return False
    return True
