"""Delivers interrupts only where the interrupted thread waits.

Dagster cancels a step with a signal whose handler raises between any two instructions. If it raises just after a lock
was acquired (a log handler's, say), the lock is never released, and the threads that follow a container wait for it
forever. If it raises while a container starts, the container is left untracked. Signals are therefore only noted while
drayage works, and passed to the original handlers where it waits and when it is done.

Signals reach the main thread alone. A step that is executed in another thread is cancelled by its
:class:`Cancellation`, which the functions here ask in the same places.
"""

import ctypes
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Event, Lock, Thread, current_thread, main_thread
from types import FrameType
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# The longest delay of a cancellation: a signal does not wake a thread that waits for an event.
_POLL_S = 0.1

# Signals belong to the process, and so do the original handlers and the signals that were noted.
_handlers: dict[signal.Signals, Any] = {}
_noted: set[int] = set()

# An exception that is raised in a thread from outside may come between any two of its instructions. In a function of
# these packages it could come just after a lock was taken that other threads need too.
_SPARED = frozenset({"drayage", "importlib", "logging"})
_SPARED_FIRST = frozenset({"dagster", "dagster_postgres", "dagster_shared", "sqlalchemy"})
# A wait in one of these belongs to whoever called it.
_WAITING = frozenset({"threading", "queue", "contextlib"})

_current: ContextVar["Cancellation | None"] = ContextVar("drayage_cancellation", default=None)


@contextmanager
def held_back() -> Iterator[None]:
    """Hold interrupts back until :func:`wait` or :func:`deliver` is called, or the block ends.

    This does nothing where nothing interrupts, in a thread that is neither the main one nor a step's, and nothing
    within another such block.
    """
    if (cancellation := _current.get()) is not None:
        with cancellation.held_back():
            yield
        return
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
    if (cancellation := _current.get()) is not None:
        cancellation.deliver()
        return
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
    if _current.get() is None and (not _handlers or current_thread() is not main_thread()):
        return event.wait(timeout_s)
    end = time.monotonic() + timeout_s
    while True:
        deliver()
        left_s = end - time.monotonic()
        if event.wait(max(0.0, min(_POLL_S, left_s))):
            return True
        if left_s <= _POLL_S:
            return False


def need(seconds: float) -> None:
    """Say that the executing step needs some more time to end, even if it has been cancelled.

    Args:
        seconds: The time from now on, in seconds.
    """
    if (cancellation := _current.get()) is not None:
        cancellation.need(seconds)


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


@dataclass
class _ThreadState:
    """What one thread has of a cancellation: how deep it holds it back, and how many requests have reached it."""

    depth: int = 0
    seen: int = 0


class Cancellation:
    """The cancellation of one step, for the thread that executes it and those that inherit the thread's context.

    Args:
        error: What is raised in the thread.
    """

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error
        self._lock = Lock()
        self._requests = 0
        self._thread: Thread | None = None
        # Each thread that works for the step is told of a request once.
        self._states: WeakKeyDictionary[Thread, _ThreadState] = WeakKeyDictionary()
        self._needed_until = 0.0

    @property
    def needed_until(self) -> float:
        """Until when the step needs time to end, in seconds on the monotonic clock."""
        return self._needed_until

    @contextmanager
    def governing(self) -> Iterator[None]:
        """Let the thread that executes the step be cancelled within the block."""
        token = _current.set(self)
        self._thread = current_thread()
        try:
            yield
        finally:
            with self._lock:
                self._thread = None
            _current.reset(token)

    def request(self) -> None:
        """Ask the step to end. Every later request interrupts it once more, such as while it ends."""
        with self._lock:
            self._requests += 1

    def strike(self, *, hard: bool = False) -> bool:
        """Raise the error in the step's thread, wherever it is, unless drayage or Dagster works there just now.

        A call that waits in C, such as ``time.sleep``, ends first.

        Args:
            hard: Whether to raise it within Dagster too, except where log records are handled.

        Returns:
            Whether the error was raised; False also if the request has reached the thread already.
        """
        with self._lock:
            thread = self._thread
            if thread is None or thread.ident is None:
                return False
            state = self._state(thread)
            frame = sys._current_frames().get(thread.ident)  # noqa: SLF001 - the only way to see another thread's stack
            spared = _SPARED if hard else _SPARED | _SPARED_FIRST
            if state.depth or state.seen >= self._requests or frame is None or _package(frame) in spared:
                return False
            state.seen = self._requests
            # The error comes as soon as the thread goes on: it waits for the interpreter, which this thread has.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(self._error))
            return True

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Let nothing but :meth:`deliver` interrupt this thread within the block, and deliver at its end."""
        with self._lock:
            state = self._state(current_thread())
            state.depth += 1
        try:
            yield
        finally:
            with self._lock:
                state.depth -= 1
            if not state.depth:
                self.deliver()

    def deliver(self) -> None:
        """Raise the error in this thread, if there is a request that has not reached it."""
        with self._lock:
            state = self._state(current_thread())
            if state.seen >= self._requests:
                return
            state.seen = self._requests
        raise self._error("The run was interrupted.")

    def need(self, seconds: float) -> None:
        """Note that the step needs time to end.

        Args:
            seconds: The time from now on, in seconds.
        """
        self._needed_until = max(self._needed_until, time.monotonic() + seconds)

    def _state(self, thread: Thread) -> _ThreadState:
        return self._states.setdefault(thread, _ThreadState())


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


def _package(frame: FrameType | None) -> str:
    """Return the package whose code a thread executes, or waits for."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if name not in _WAITING:
            return name
        frame = frame.f_back
    return ""
