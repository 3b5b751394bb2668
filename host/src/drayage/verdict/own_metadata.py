"""Keeps the runner's own metadata and the workload's apart where both have the same name.

The runner's number keeps the name, so that its plots have no gaps, and the workload's is kept beside it as
``reported/<name>``. Neither replaces the other.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

OWN_NAMES = frozenset(
    {
        "image_id",
        "container_id",
        "exchange_dir",
        "debug_command",
        "duration_s",
        "start_s",
        "cpu_s",
        "peak_memory_mib",
        "drayage/partial",
    }
)
"""The names that the runner gives to metadata of its own on every materialization."""

_PREFIX = "reported/"

Value = TypeVar("Value")


def beside_own(reported: Mapping[str, Value], own: Mapping[str, Any] | None = None) -> dict[str, Value]:
    """Return reported metadata, with another name for what has one of the runner's.

    Args:
        reported: The workload's metadata.
        own: The runner's metadata that it is added to.
    """
    taken = OWN_NAMES | (own or {}).keys()
    return {f"{_PREFIX}{name}" if name in taken else name: value for name, value in reported.items()}


def clash(reported: Mapping[str, Any]) -> list[str]:
    """Return which reported names would be the same once :func:`beside_own` has renamed them, one clause each."""
    return [
        f"it reported both {name!r}, which is the runner's own and so is kept as {_PREFIX + name!r}, and "
        f"{_PREFIX + name!r}: give one of them another name"
        for name in sorted(OWN_NAMES)
        if name in reported and f"{_PREFIX}{name}" in reported
    ]
