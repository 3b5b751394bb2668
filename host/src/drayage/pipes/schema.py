"""Validates messages against the workload contract, a single JSON Schema.

The runner enforces the same schema that the conformance kit tests and ``docs/workload-contract.md`` describes. Its
``definitions`` hold every message by its method, the runner's own custom messages by their ``kind``, and the context.
Dagster's handler then reads what the schema accepts, and refuses what JSON Schema cannot express: a whole ``float``
that is written as 3, and a table whose records have different fields.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import fastjsonschema

_FILE = "workload-contract.schema.json"
_CUSTOM = "report_custom_message"
# A tuple, because a payload's kind may be a list, which cannot be looked up in a set.
_OWN_KINDS = ("progress", "partition_metadata")


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
        TypeError: It does not; the text says where, and what was expected.
    """
    # Tens of thousands of messages arrive per second. JSON objects are dicts, and a check for Mapping takes ten times
    # as long.
    if not isinstance(message, dict) or not isinstance(message.get("method"), str) or "params" not in message:
        raise TypeError("expected an object with `method` and `params`")
    version, methods = _envelope()
    if message.get("__dagster_pipes_version") != version:
        raise TypeError(f"expected __dagster_pipes_version {version!r}, got {message.get('__dagster_pipes_version')!r}")
    method, params = message["method"], message["params"]
    if method == _CUSTOM:
        _require_custom(params)
    elif method in methods:
        require(method, params, where="params")
    else:
        raise TypeError(f"unknown method {method!r}; expected one of {', '.join(methods)}")


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
        TypeError: It does not conform; the text says where, and what was expected.
    """
    try:
        _validator(definition)(content)
    except fastjsonschema.JsonSchemaValueException as error:
        raise TypeError(f"{where}{error.message.removeprefix('data')}") from error


def _require_custom(params: Any) -> None:
    """Check a custom message by hand, because most are the pipeline's own."""
    if not isinstance(params, dict) or params.keys() != {"payload"}:
        raise TypeError("params must be an object that holds `payload` and nothing else")
    payload = params["payload"]
    if is_runner_message(payload):
        require(payload["kind"], payload, where="params.payload")


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
