import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from generator.ahead import DEPTH, work_ahead


def test_items_come_whole_and_in_order() -> None:
    """Events of one source row keep their order, which the row numbers in their ids follow."""
    assert list(work_ahead(iter(range(100)))) == list(range(100))
    assert list(work_ahead(iter([]))) == []


def test_items_are_made_beside_the_caller_and_not_far_ahead() -> None:
    """The gain is the other thread; the bound is what keeps ten million events out of memory."""
    made: list[int] = []
    threads: set[str] = set()

    def items() -> Iterator[int]:
        for number in range(50):
            threads.add(threading.current_thread().name)
            made.append(number)
            yield number

    for used, _ in enumerate(work_ahead(items()), start=1):
        assert len(made) <= used + DEPTH
    assert threading.current_thread().name not in threads


def test_an_error_comes_after_the_items_before_it() -> None:
    """A file that turns out to be bad must end the step, not just the thread that read it."""

    def items() -> Iterator[int]:
        yield 1
        raise LookupError("bad row")

    received: list[int] = []
    with pytest.raises(LookupError, match="bad row"):
        received.extend(work_ahead(items()))
    ahead = work_ahead(items())
    assert next(ahead) == 1


def test_nothing_is_made_any_more_once_the_caller_stops() -> None:
    """A step that is told to stop must not go on synthesising."""
    made: list[int] = []

    def items() -> Iterator[int]:
        while True:
            made.append(0)
            yield 0

    with closing(work_ahead(items())) as ahead:
        next(ahead)
    count = len(made)
    assert count <= 1 + 2 * DEPTH
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]
