"""Lets a container open its context file before the context exists: the file is a named pipe, on which it waits."""

import contextlib
import errno
import logging
import os
from threading import Event, Thread

from drayage.errors import ExchangeError
from drayage.exchange.directory import Attempt

_FIRST_POLL_S = 0.01
_LONGEST_POLL_S = 1.0

_log = logging.getLogger(__name__)


class ContextPipe:
    """The context of a container that was started before its step.

    A reader that opens it early blocks in ``open`` itself, so if the host dies, no reader is left with an empty
    context.

    Args:
        attempt: The attempt whose context it is.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        # A second name for the pipe: writing the context puts a regular file under the first one.
        self._pipe = attempt.path / "context.pipe"
        self._closed = Event()

    def open(self) -> None:
        """Create the pipe at the path of the context, which does not exist yet."""
        os.mkfifo(self._attempt.context)
        self._attempt.context.chmod(0o644)
        self._pipe.hardlink_to(self._attempt.context)

    def deliver(self) -> None:
        """Send the context, which has been written by now, to readers that wait on the pipe.

        Later readers find the context file instead. Does nothing if the pipe was never opened.
        """
        if not self._pipe.exists():
            return
        context = self._attempt.read_context()
        if context is None:
            raise ExchangeError(f"{self._attempt.context} has not been written, so there is nothing to deliver.")
        # In a thread, because a reader that stalls would otherwise block the code that watches the container.
        Thread(target=self._keep_trying, args=(context,), name="drayage-context", daemon=True).start()

    def close(self) -> None:
        """Stop waiting for readers, and remove the pipe."""
        self._closed.set()
        self._pipe.unlink(missing_ok=True)

    def _keep_trying(self, context: bytes) -> None:
        interval_s = _FIRST_POLL_S
        while not self._try_to_deliver(context) and not self._closed.wait(interval_s):
            interval_s = min(2 * interval_s, _LONGEST_POLL_S)

    def _try_to_deliver(self, context: bytes) -> bool:
        """Return whether no reader is left to wait for."""
        try:
            descriptor = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return True
        except OSError as error:
            # ENXIO: no reader waits. The container is still loading its programs, or has opened the file meanwhile.
            if error.errno != errno.ENXIO:
                _log.warning("the context cannot be delivered yet: %s", error)
            return False
        os.set_blocking(descriptor, True)
        # A reader that ends before it has read everything is judged by its exit code.
        with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "wb") as pipe:
            pipe.write(context)
        return True
