"""Validates messages against the workload contract, a single JSON Schema.

The runner enforces the same schema that the conformance kit tests and ``docs/workload-contract.md`` describes. Its
``definitions`` hold every message by its method, the runner's own custom messages by their ``kind``, and the context.
:mod:`drayage.pipes.values` refuses what JSON Schema cannot express and Dagster cannot store or show. Dagster's handler
then reads what is left, and refuses a whole ``float`` that is written as 3, and a table whose records have different
fields.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import fastjsonschema

from drayage.pipes.values import shown, unfit

_FILE = "workload-contract.schema.json"
_CUSTOM = "report_custom_message"
# A tuple, because a payload's kind may be a list, which cannot be looked up in a set.
_OWN_KINDS = ("progress", "partition_metadata")
_LONGEST_NAME = 80
_LONGEST_TEXT = 400
_RESULTS = ("report_asset_materialization", "report_asset_check")


@cache
def schema() -> Mapping[str, Any]:
    """Return the schema, in JSON Schema draft 7."""
    content: dict[str, Any] = json.loads(resources.files("drayage").joinpath(_FILE).read_bytes())
    return content


def require_message(message: Any) -> None:
    """Check that a message conforms to the schema.

    Args:
        message: A line of the messages file, parsed.

    Raises:
        TypeError: It does not; the text says where, what was expected, and what came.
    """
    # Tens of thousands of messages arrive per second. JSON objects are dicts, and a check for Mapping takes ten times
    # as long.
    if not isinstance(message, dict) or not isinstance(message.get("method"), str) or "params" not in message:
        raise TypeError(f"expected an object with `method` and `params`, got {shown(message)}")
    version, methods = _envelope()
    if message.get("__dagster_pipes_version") != version:
        raise TypeError(
            f"expected __dagster_pipes_version {version!r}, got {shown(message.get('__dagster_pipes_version'))}"
        )
    method, params = message["method"], message["params"]
    if method == _CUSTOM:
        _require_custom(params)
        return
    if method not in methods:
        raise TypeError(f"unknown method {_quoted(method)}; expected one of {', '.join(methods)}")
    require(method, params, where="params")
    _require_fit(params, metadata=("metadata",) if method in _RESULTS else None)


def is_runner_message(payload: Any) -> bool:
    """Return whether drayage itself consumes a custom message with this payload."""
    return isinstance(payload, dict) and payload.get("kind") in _OWN_KINDS


def require(definition: str, content: Any, *, where: str) -> None:
    """Check that content conforms to one of the schema's definitions.

    Args:
        definition: Name of the definition.
        content: Parsed JSON.
        where: What to call the content in the error.

    Raises:
        TypeError: It does not conform; the text says where, what was expected, and what came.
    """
    try:
        _validator(definition)(content)
    except fastjsonschema.JsonSchemaValueException as error:
        raise TypeError(f"{where}{_short(error.message.removeprefix('data'))}, got {shown(error.value)}") from error


def _require_custom(params: Any) -> None:
    """Check a custom message by hand, because most are the pipeline's own."""
    if not isinstance(params, dict) or params.keys() != {"payload"}:
        raise TypeError(f"params must be an object that holds `payload` and nothing else, got {shown(params)}")
    payload = params["payload"]
    if is_runner_message(payload):
        require(payload["kind"], payload, where="params.payload")
        _require_fit(params, metadata=("payload", "metadata"))
    else:
        _require_fit(params, own=True)


def _require_fit(params: Any, *, metadata: tuple[str, ...] | None = None, own: bool = False) -> None:
    if text := unfit(params, where="params", metadata=metadata, own=own):
        raise TypeError(text)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…")


def _short(text: str) -> str:
    """Shorten a validator's text, which names every member that is too many."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


@cache
def _envelope() -> tuple[str, tuple[str, ...]]:
    """Return the version of the Pipes protocol, and the names of its methods."""
    envelope = schema()["definitions"]["message"]["properties"]
    return envelope["__dagster_pipes_version"]["const"], tuple(envelope["method"]["enum"])


@cache
def _validator(definition: str) -> Callable[[Any], Any]:
    validator: Callable[[Any], Any] = fastjsonschema.compile(
        {"$ref": f"#/definitions/{definition}", "definitions": schema()["definitions"]}
    )
    return validator
