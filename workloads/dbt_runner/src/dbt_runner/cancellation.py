"""SIGTERM and SIGINT: dbt cancels its queries, and the process is gone within seconds."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dbt_runner.errors import CancelledError

# Shorter than the grace that the host gives a container before it kills it.
_LAST_MOMENT_S = 3.0


@contextmanager
def cancellable() -> Iterator[None]:
    """Turn a signal to stop into an error, wherever in the block it comes.

    dbt answers KeyboardInterrupt by cancelling its queries, then hands it on as a result, not as the exception: hence
    the note that a signal came.

    Yields:
        Nothing.

    Raises:
        CancelledError: The process was told to stop.
    """
    received: list[signal.Signals] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if not received:
            received.append(signal.Signals(number))
            # A thread that hangs in the database or the network must not outlive the order to stop.
            watchdog = threading.Timer(_LAST_MOMENT_S, os._exit, args=(CancelledError.exit_code,))
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
        f"The step was told to stop ({received.name}) and cancelled dbt. Models that had finished stay, the one "
        "at work was rolled back. Materialize the month again to have it whole."
    )
