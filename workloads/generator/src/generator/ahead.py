"""Work ahead: the next items are made while the one before is used."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

DEPTH: Final = 2
"""Items made ahead: one being made and one ready keep both sides busy, and memory small."""

Item = TypeVar("Item")


def work_ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """Make items in a thread of their own; numpy and Arrow let it run beside the caller's.

    Args:
        items: An iterator that no one else advances meanwhile.

    Returns:
        The same items in the same order; an exception comes where it would have come.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as worker:
        pending = deque(worker.submit(next, items, end) for _ in range(DEPTH))
        while (item := pending.popleft().result()) is not end:
            pending.append(worker.submit(next, items, end))
            yield item  # type: ignore[misc]  # object() marks the end alone
