"""Formats messages for people, one line each."""

import json
from collections.abc import Mapping
from typing import Any

_SHOWN_CHARACTERS = 160


def described(message: Any) -> str:
    """Return a one-line description of a message.

    Args:
        message: A message, as the workload sent it.
    """
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
    if method == "closed" and params.get("exception"):
        exception = params["exception"]
        return f"CLOSED   with {exception.get('name')}: {exception.get('message')}"
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
