"""Translates botocore's errors in the adapters, where calls are made, so that no other module meets them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from deployer.aws.translation import explain

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)


def translated(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that errors of AWS are raised as DataopsErrors with a next step."""

    @functools.wraps(function)
    def calls(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            found = explain(error)
            if found is None:
                raise
            raise found from error

    return calls


def translating(cls: C) -> C:
    """Wrap every public method of a class in the same way."""
    for name, method in list(vars(cls).items()):
        if callable(method) and not name.startswith("_"):
            setattr(cls, name, translated(method))
    return cls
