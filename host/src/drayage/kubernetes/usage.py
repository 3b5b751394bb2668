"""Reads what the relay says of the container that it is run in."""

import json

from drayage.engine import Usage
from drayage.errors import EngineError


def read_usage(said: bytes) -> Usage:
    """Return what the relay says of a container's usage.

    Args:
        said: One line of JSON.

    Raises:
        EngineError: It is none.
    """
    try:
        numbers = json.loads(said)
        return Usage(int(numbers.get("memory_bytes") or 0), int(numbers.get("cpu_ns") or 0) / 1e9)
    except (ValueError, AttributeError) as error:
        raise EngineError(f"The relay's usage cannot be read: expected JSON, got {said[:100]!r}.") from error
