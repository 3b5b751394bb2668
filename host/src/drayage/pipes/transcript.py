"""Formats messages for people, one line each."""

import json
import re
from collections.abc import Mapping
from typing import Any

from drayage.pipes.values import shown
from drayage.verdict.exception import read_exception
from drayage.verdict.judge import exception_line

_SHOWN_CHARACTERS = 160
_LINE_CHARACTERS = 2000
# What steers a terminal, begins another line, or changes the order in which text is read. Source: ECMA-48, UAX #9.
_STEERING = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def described(message: Any) -> str:
    """Return a one-line description of a message.

    Args:
        message: Any JSON that the workload sent as a message.
    """
    try:
        text = _described(message)
    except (AttributeError, KeyError, TypeError):
        text = f"NOT UNDERSTOOD {shown(message, _SHOWN_CHARACTERS)}"
    return on_one_line(text)


def on_one_line(text: str) -> str:
    """Return text on one line that a terminal shows as it is: escapes for what steers it, and no more than fits."""
    rest = len(text) - _LINE_CHARACTERS
    # A terminal cannot show a lone surrogate.
    encodable = text[:_LINE_CHARACTERS].encode("utf-8", "backslashreplace").decode()
    line = _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), encodable)
    return line if rest <= 0 else f"{line}… and {rest} more characters"


def escaped_json(line: str) -> str:
    """Return a line of JSON with the same meaning and with escapes for what steers a terminal.

    Args:
        line: The line; what is no JSON is escaped too. Its carriage returns stay, as they may be between values.
    """
    return _STEERING.sub(lambda found: found[0] if found[0] == "\r" else f"\\u{ord(found[0]):04x}", line)


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
