"""Keeps the runner's own metadata and the workload's apart where both have the same name.

The runner's number keeps the name, so that its plots have no gaps, and the workload's is kept beside it as
``reported/<name>``. Neither replaces the other.
"""

from collections.abc import Collection, Mapping
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
    return {_free(name, taken, reported): value for name, value in reported.items()}


def _free(name: str, taken: Collection[str], reported: Collection[str]) -> str:
    if name not in taken:
        return name
    free = f"{_PREFIX}{name}"
    while free in taken or free in reported:
        free = f"{_PREFIX}{free}"
    return free
