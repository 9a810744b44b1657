"""What the emulator's evaluator lacks: policy variables, the condition keys of S3's writes, and loopback as TLS.

A request over loopback counts as TLS 1.3, since the local cloud has no certificate; one whose header
``x-forwarded-proto`` says ``http`` counts as plain, so that a policy against plain HTTP can be tried.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from deployer.local.emulator.private_parts import load, replace, require

_VARIABLE = re.compile(r"\$\{([^}]+)\}")
_LITERALS = {"*": "*", "?": "?", "$": "$"}
#: A value that no request has, so that a statement whose variable has no value matches nothing.
_NOTHING = "\0"


def complete() -> None:
    """Put the missing parts into the emulator's modules."""
    evaluator, actions, app = load("core.iam_evaluator"), load("core.iam_actions"), load("app")
    first_match = require(evaluator, "_first_match", ("ctx", "stmts", "effect"))
    resolve = require(evaluator, "_resolve_condition_key", ("key", "ctx"))
    replace(evaluator, "_first_match", lambda ctx, stmts, effect: first_match(ctx, filled(stmts, ctx, resolve), effect))
    parse = require(evaluator, "parse_policy_document", ("doc",))

    @functools.lru_cache(maxsize=1024)
    def parse_text(text: str) -> Any:
        statements = parse(text)
        for statement in statements:
            statement.has_variables = "${" in text
        return statements

    replace(
        evaluator, "parse_policy_document", lambda doc: parse_text(doc if isinstance(doc, str) else json.dumps(doc))
    )
    s3_context = require(actions, "s3_service_context", ("iam_action", "query_params", "path", "headers"))

    def s3_service_context(iam_action: str, query_params: Any, path: str = "", headers: Any = None) -> dict[str, Any]:
        known = s3_context(iam_action, query_params, path, headers)
        return {**known, **s3_write_keys(iam_action, query_params or {}, headers or {})}

    replace(actions, "s3_service_context", s3_service_context)
    # Work outside of a request counts as TLS, and so does every request that does not say otherwise.
    evaluator._request_origin = ContextVar("origin", default=("127.0.0.1", True))  # type: ignore[attr-defined]
    pin = require(app, "pin_request_origin", ("source_ip", "secure_transport"))
    replace(app, "pin_request_origin", lambda source_ip, secure_transport: pin(source_ip, not is_plain.get()))


#: Whether the current request says that it came over plain HTTP.
is_plain: ContextVar[bool] = ContextVar("is_plain", default=False)


def filled(statements: list[Any], context: Any, resolve: Any) -> list[Any]:
    """Return the statements with their policy variables replaced by the request's values.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """

    def value(found: re.Match[str]) -> str:
        name, _, default = (part.strip() for part in found[1].partition(","))
        if name in _LITERALS:
            return _LITERALS[name]
        actual = resolve(name, context)
        return str(actual) if actual is not None else default.strip("'") or _NOTHING

    def fill(given: Any) -> Any:
        if isinstance(given, str):
            return _VARIABLE.sub(value, given) if "${" in given else given
        if isinstance(given, list):
            return [fill(each) for each in given]
        if isinstance(given, Mapping):
            return {name: fill(each) for name, each in given.items()}
        return given

    return [
        dataclasses.replace(
            each,
            resources=fill(each.resources),
            not_resources=fill(each.not_resources),
            conditions=fill(each.conditions),
        )
        if each.has_variables
        else each
        for each in statements
    ]


def s3_write_keys(action: str, query: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the condition keys of an S3 request that the emulator lacks, and those that it gets wrong (None).

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
    """
    keys: dict[str, Any] = {"s3:TlsVersion": None if is_plain.get() else "1.3"}
    if action != "s3:PutObject":
        return keys
    for name in ("if-none-match", "if-match"):
        if name in headers:
            keys[f"s3:{name}"] = headers[name]
    # A multipart upload becomes an object when it is completed; only the call that begins it names the encryption.
    is_part = "partNumber" in query or "uploads" in query
    keys["s3:ObjectCreationOperation"] = "false" if is_part else "true"
    encryption, key_id = "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"
    for name in (encryption, key_id):
        keys[f"s3:{name}"] = None if "uploadId" in query else headers.get(name)
    return keys
