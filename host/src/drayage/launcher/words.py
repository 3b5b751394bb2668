"""Defines what is said to a run worker on standby, and what it answers.

A run worker reads lines from its standard input: what to load, then one order. It obeys the first order and reads no
second, and says on its standard output which it obeyed. So the claim and the handing over are one act, which the run
worker itself decides, whoever asks it from whatever process; there is nothing between the two at which the one who
asks can die.
"""

from collections.abc import Iterable

_MARK = "drayage run worker: "

LOADING = "loads"
"""It has read what to load."""
READY = "is ready"
"""It has loaded that, and waits for an order."""
DISMISSED = "is dismissed"
"""It was told to end, and does."""
EXPIRED = "has waited long enough"
"""It ends by itself."""

DISMISS = b"dismiss\n"
"""The order to end."""


def order(run_id: str, container_id: str) -> bytes:
    """Return the order to execute a run.

    Args:
        run_id: Id of the run.
        container_id: Id of the run worker's container, which it cannot know itself.
    """
    return f"run {run_id} {container_id}\n".encode()


def read_order(line: str) -> tuple[str, str] | None:
    """Return the ids of the run and of the container that an order names; None if it is the order to end.

    Raises:
        ValueError: It is no order.
    """
    match line.split():
        case ["dismiss"]:
            return None
        case ["run", run_id, container_id]:
            return run_id, container_id
    raise ValueError(f"expected `run <run id> <container id>` or `dismiss`, got {line[:100]!r}")


def takes(run_id: str) -> str:
    """Return what a run worker says once it has a run, and Dagster knows its container."""
    return f"takes run {run_id}"


def line(words: str) -> str:
    """Return words as a line that is told from everything else that a process prints."""
    return f"{_MARK}{words}"


def heard(lines: Iterable[str]) -> list[str]:
    """Return the words among lines of output."""
    return [each.removeprefix(_MARK) for each in lines if each.startswith(_MARK)]


def is_decided(words: str) -> bool:
    """Return whether these words say that a run worker has obeyed an order, or ends."""
    return words not in {LOADING, READY}
