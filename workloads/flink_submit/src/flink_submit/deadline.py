"""A time limit for calls into libraries that have none of their own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from flink_submit.errors import ServiceTimeoutError


@contextmanager
def deadline(seconds: float, waiting_for: str) -> Iterator[None]:
    """End the enclosed call when it takes too long; works only in the main thread and cannot be nested.

    Args:
        seconds: The limit, above 0.
        waiting_for: The service being waited for and its address, for the message.

    Yields:
        Nothing.

    Raises:
        ServiceTimeoutError: The limit was reached.
    """

    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise ServiceTimeoutError(
            f"{waiting_for} did not answer within {seconds:.0f} s. Check that the service runs and is not overloaded, "
            "then materialize this partition again."
        )

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
