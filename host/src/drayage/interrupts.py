"""Interrupts that strike where the main thread waits, and nowhere else.

Dagster cancels a step by a signal whose handler raises between any two instructions. Raised just after a lock was
taken (a log handler's, say), it leaves that lock taken for good, and the threads that follow a container wait for it
for ever; raised while a container starts, nobody knows the container. So signals are noted while drayage works, and
handed to the handlers that were there before where it waits, and when it is done.
"""

import signal
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, current_thread, main_thread
from typing import Any, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# How late a cancel may be: a signal does not wake a thread that waits for an event.
_POLL_S = 0.1

# Signals belong to the process, and so do these: who would have been called, and what was noted.
_handlers: dict[signal.Signals, Any] = {}
_noted: set[int] = set()


@contextmanager
def held_back() -> Iterator[None]:
    """Hold interrupts back until :func:`wait` or :func:`deliver` is called, or the block ends.

    In another thread than the main one this does nothing: signals do not strike there. Nor does it within itself.
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
    """Let an interrupt that was held back strike here."""
    if not _noted or current_thread() is not main_thread():
        return
    with ExitStack() as stack:
        for number, handler in _handlers.items():
            stack.callback(signal.signal, number, _note)
            signal.signal(number, handler)
        _raise_noted()


def wait(event: Event, timeout_s: float) -> bool:
    """Wait for an event; an interrupt strikes here, one that was held back at once.

    Args:
        event: What is waited for.
        timeout_s: How long, in seconds.

    Returns:
        Whether it came.
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


def between_yields(results: Generator[T, None, None]) -> Iterator[T]:
    """Yield from a generator whose own code no interrupt strikes, except where it waits.

    Args:
        results: Closed at the end, whatever happened.
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
