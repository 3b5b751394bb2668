"""A context file that a container may open before there is a context: a named pipe, on which it waits."""

import contextlib
import errno
import logging
import os
from threading import Event, Thread

from drayage.exchange.directory import Attempt

_FIRST_POLL_S = 0.01
_LONGEST_POLL_S = 1.0

_log = logging.getLogger(__name__)


class ContextPipe:
    """The context of a container that was started before its step.

    Whoever opens it early is blocked in opening it, so that a host that dies leaves no reader with an empty context.

    Args:
        attempt: The exchange directory.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        # A name of its own: that of the context becomes a plain file's when it is written.
        self._pipe = attempt.path / "context.pipe"
        self._closed = Event()

    def open(self) -> None:
        """Put the pipe in the context's place; there is no context yet."""
        os.mkfifo(self._attempt.context)
        self._attempt.context.chmod(0o644)
        self._pipe.hardlink_to(self._attempt.context)

    def deliver(self) -> None:
        """Hand the context, which is written by now, to whoever waits for it; who comes later finds the file.

        Does nothing where the context was never held.
        """
        if not self._pipe.exists():
            return
        context = self._attempt.context.read_bytes()
        # In a thread: a reader that does not go on would hold up what watches the container.
        Thread(target=self._keep_trying, args=(context,), name="drayage-context", daemon=True).start()

    def close(self) -> None:
        """Wait for no reader any more."""
        self._closed.set()
        self._pipe.unlink(missing_ok=True)

    def _keep_trying(self, context: bytes) -> None:
        interval_s = _FIRST_POLL_S
        while not self._try_to_deliver(context) and not self._closed.wait(interval_s):
            interval_s = min(2 * interval_s, _LONGEST_POLL_S)

    def _try_to_deliver(self, context: bytes) -> bool:
        """Whether there is nobody left to give it to."""
        try:
            descriptor = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return True
        except OSError as error:
            # Else nobody waits: the container still loads its programs, or has opened the file meanwhile.
            if error.errno != errno.ENXIO:
                _log.warning("the context cannot be given yet: %s", error)
            return False
        os.set_blocking(descriptor, True)
        # One that ends before it has read all is judged by its exit code.
        with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "wb") as pipe:
            pipe.write(context)
        return True
