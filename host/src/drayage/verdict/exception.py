"""Reads the exception that a workload closed with, whatever JSON it is.

A library in any language may get the form wrong, and what it meant to say is still what people need to see.
"""

import json
from collections.abc import Mapping
from typing import Any

from dagster_pipes import PipesException

_MOST_CAUSES = 20
_FIELDS = ("message", "stack", "name", "cause", "context")
# What Python's library sends of `sys.exit(0)`, `sys.exit()` and `sys.exit(None)` in an open session.
_CLEAN_EXITS = frozenset({"SystemExit", "SystemExit: 0", "SystemExit: None", "SystemExit: False"})


def read_exception(raw: Any) -> PipesException:
    """Return an exception in Pipes' form, of anything that was sent in its place.

    Args:
        raw: Any JSON; None is an exception too, because it was sent as one.

    Returns:
        The exception, with all five fields; what is not of their types is kept as its JSON.
    """
    return _read(raw, _MOST_CAUSES)


def is_clean_exit(exception: PipesException) -> bool:
    """Return whether an exception is Python's way to end a program that has not failed: ``sys.exit(0)``."""
    return exception["name"] == "SystemExit" and exception["message"].strip() in _CLEAN_EXITS


def _read(raw: Any, depth: int) -> PipesException:
    if not isinstance(raw, Mapping):
        return _exception(message=_text(raw))
    name = raw.get("name")
    message = _text(raw.get("message") or "")
    if others := {key: value for key, value in raw.items() if key not in _FIELDS}:
        # Some libraries have other names for the same things, and these are all that they say.
        message = message or _text(others)
    stack = raw.get("stack") or []
    return PipesException(
        message=message,
        stack=[_text(frame) for frame in (stack if isinstance(stack, list) else [stack])],
        name=None if name is None else _text(name),
        cause=_chained(raw.get("cause"), depth),
        context=_chained(raw.get("context"), depth),
    )


def _chained(raw: Any, depth: int) -> PipesException | None:
    if raw is None:
        return None
    if depth == 0:
        return _exception(message="(further causes are left out)")
    return _read(raw, depth - 1)


def _exception(*, message: str) -> PipesException:
    return PipesException(message=message, stack=[], name=None, cause=None, context=None)


def _text(raw: Any) -> str:
    text = raw if isinstance(raw, str) else json.dumps(raw)
    # What cannot be encoded, or stored, is shown as its escape.
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
