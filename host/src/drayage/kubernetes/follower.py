"""Speaks with the one program in a relay that follows a pod's messages, gives the rest, and lets the pod end."""

import contextlib
import re
import time
from collections.abc import Iterator

from drayage.kubernetes.execution import STDOUT, CutError, Execution

DONE_S = 10.0
"""Longest time that the relay may take to let its pod end, in seconds."""

# How the relay says on standard error how long the messages are, when it was told that no more will come.
_REST = re.compile(rb'^\{"rest":([0-9]+)\}$', re.MULTILINE)
# Longer than a relay that moves nothing takes to answer, on a busy node too.
_ANSWER_TO_REST_S = 5.0
_LONGEST_WORD_BYTES = 4096


class RelayFollower:
    """A relay that follows the messages, and can be told that no more will come.

    One program does for a step what else takes three, each of which costs its node as much as a container's start.

    Args:
        execution: Its program.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._parts = iter(execution)
        self._said = b""
        self._asked_at: float | None = None
        self._heard_at = 0.0
        self.rest_bytes: int | None = None
        """How long the messages are, once that is known."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield messages as they come, and nothing whenever it says something else."""
        for channel, chunk in self._parts:
            self._heard_at = time.monotonic()
            if channel != STDOUT:
                self._said = (self._said + chunk)[-_LONGEST_WORD_BYTES:]
                if found := _REST.search(self._said):
                    self.rest_bytes = int(found[1])
            yield chunk if channel == STDOUT else b""

    def ask(self) -> bool:
        """Tell it that no more will come, once, from any thread; return whether it may still answer."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            with contextlib.suppress(CutError):
                self._execution.send(b"rest\n")
        return time.monotonic() - max(self._asked_at, self._heard_at) < _ANSWER_TO_REST_S

    def say_done(self) -> None:
        """Let it end, and the pod with it.

        Raises:
            CutError: The connection was cut.
            FailedError: It could not let the pod end.
        """
        self._execution.bear(DONE_S)
        try:
            self._execution.send(b"done\n")
            for _ in self._parts:
                pass
        finally:
            self.leave()

    def close(self) -> None:
        """End the connection, from any thread."""
        self._execution.close()

    def leave(self) -> None:
        """End the connection, from the thread that reads it, or when none does any more."""
        self._execution.close()
        self._parts.close()
