"""SIGTERM and SIGINT: dbt cancels its queries, and the process ends within seconds."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dbt_runner.errors import CancelledError

# Shorter than the host's grace period before it kills a container.
_EXIT_DEADLINE_S = 3.0


@contextmanager
def cancellable() -> Iterator[None]:
    """Turn a stop signal that arrives within the block into an error.

    dbt answers ``KeyboardInterrupt`` by cancelling its queries, and then reports it as a result instead of raising it;
    the handler therefore records the signal.

    Yields:
        Nothing.

    Raises:
        CancelledError: The process was told to stop.
    """
    received: list[signal.Signals] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if not received:
            received.append(signal.Signals(number))
            # A thread that hangs in the database or the network must not keep the process alive.
            watchdog = threading.Timer(_EXIT_DEADLINE_S, os._exit, args=(CancelledError.exit_code,))
            watchdog.daemon = True
            watchdog.start()
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except BaseException as error:
        if received:
            raise _cancelled(received[0]) from error
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if received:
        raise _cancelled(received[0])


def _cancelled(received: signal.Signals) -> CancelledError:
    return CancelledError(
        f"The step was told to stop ({received.name}) and cancelled dbt. Finished models stay; the running one was "
        "rolled back. Materialize the month again to complete it."
    )
