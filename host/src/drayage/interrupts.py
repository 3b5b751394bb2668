"""Delivers interrupts only where the main thread waits.

Dagster cancels a step with a signal whose handler raises between any two instructions. If it raises just after a lock
was acquired (a log handler's, say), the lock is never released, and the threads that follow a container wait for it
forever. If it raises while a container starts, the container is left untracked. Signals are therefore only noted while
drayage works, and passed to the original handlers where it waits and when it is done.
"""

import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, current_thread, main_thread
from typing import Any, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# The longest delay of a cancellation: a signal does not wake a thread that waits for an event.
_POLL_S = 0.1

# Signals belong to the process, and so do the original handlers and the signals that were noted.
_handlers: dict[signal.Signals, Any] = {}
_noted: set[int] = set()


@contextmanager
def held_back() -> Iterator[None]:
    """Hold interrupts back until :func:`wait` or :func:`deliver` is called, or the block ends.

    This does nothing outside the main thread, where signal handlers do not run, and nothing within another such block.
    """
    if current_thread() is not main_thread() or _handlers:
        yield
        return
    with ExitStack() as last, ExitStack() as stack:
        last.callback(_raise_noted)
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            stack.callback(_restore, number, handler)
            _handlers[number] = handler
            signal.signal(number, _note)
        yield


def deliver() -> None:
    """Deliver the interrupts that were held back, if any."""
    if not _noted or current_thread() is not main_thread():
        return
    with ExitStack() as stack:
        for number, handler in _handlers.items():
            stack.callback(signal.signal, number, _note)
            signal.signal(number, handler)
        _raise_noted()


def wait(event: Event, timeout_s: float) -> bool:
    """Wait for an event; interrupts are delivered here, and one that was held back immediately.

    Args:
        event: The event to wait for.
        timeout_s: The longest time to wait, in seconds.

    Returns:
        Whether the event was set.
    """
    if not _handlers or current_thread() is not main_thread():
        return event.wait(timeout_s)
    end = time.monotonic() + timeout_s
    while True:
        deliver()
        left_s = end - time.monotonic()
        if event.wait(max(0.0, min(_POLL_S, left_s))):
            return True
        if left_s <= _POLL_S:
            return False


def wait_while_it_advances(event: Event, position: Callable[[], int], *, stall_s: float) -> bool:
    """Wait for an event for as long as what sets it advances; interrupts are delivered as in :func:`wait`.

    Args:
        event: The event to wait for.
        position: Returns a number that changes as it advances.
        stall_s: The longest time to wait while the number stays the same, in seconds.

    Returns:
        Whether the event was set.
    """
    reached = position()
    while not wait(event, stall_s):
        if position() == reached:
            return event.is_set()
        reached = position()
    return True


def between_yields(results: Generator[T, None, None]) -> Iterator[T]:
    """Yield from a generator, and hold interrupts back while its own code runs, except where it waits.

    Args:
        results: The generator; it is closed at the end in any case.

    Yields:
        What the generator yields.
    """
    try:
        while True:
            with held_back():
                try:
                    result = next(results)
                except StopIteration:
                    return
            yield result
    finally:
        with held_back():
            results.close()


def _note(number: int, _frame: object) -> None:
    _noted.add(number)


def _restore(number: signal.Signals, handler: Any) -> None:
    _handlers.pop(number, None)
    signal.signal(number, handler)


def _raise_noted() -> None:
    noted = sorted(_noted)
    _noted.clear()
    for number in noted:
        signal.raise_signal(number)
