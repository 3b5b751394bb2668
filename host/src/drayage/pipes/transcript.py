"""Formats messages for people, one line each."""

import json
from collections.abc import Mapping
from typing import Any

from drayage.pipes.values import shown
from drayage.verdict.exception import read_exception
from drayage.verdict.judge import exception_line

_SHOWN_CHARACTERS = 160


def described(message: Any) -> str:
    """Return a one-line description of a message.

    Args:
        message: Any JSON that the workload sent as a message.
    """
    try:
        text = _described(message)
    except (AttributeError, KeyError, TypeError):
        text = f"NOT UNDERSTOOD {shown(message, _SHOWN_CHARACTERS)}"
    # A terminal cannot show a lone surrogate.
    return text.encode("utf-8", "backslashreplace").decode()


def _described(message: Any) -> str:
    method, params = message["method"], message.get("params") or {}
    if method == "log":
        return f"{params.get('level', 'INFO').upper():<8} {params['message']}"
    if method == "report_asset_materialization":
        return f"MATERIALIZED {params['asset_key']} {_metadata(params.get('metadata'))}".rstrip()
    if method == "report_asset_check":
        became = "passed" if params["passed"] else f"failed ({params['severity']})"
        return f"CHECK    {params['asset_key']}:{params['check_name']} {became} {_metadata(params.get('metadata'))}"
    if method == "report_custom_message":
        return f"MESSAGE  {_short(params['payload'])}"
    if method == "closed" and params.get("exception") is not None:
        return f"CLOSED   with {exception_line(read_exception(params['exception']))}"
    return str(method).upper()


def _metadata(metadata: Mapping[str, Any] | None) -> str:
    shown = {
        name: value["raw_value"] if isinstance(value, Mapping) and "raw_value" in value else value
        for name, value in (metadata or {}).items()
    }
    return " ".join(f"{name}={_short(value)}" for name, value in shown.items())


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
