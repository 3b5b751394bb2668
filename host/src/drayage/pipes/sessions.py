"""Follows the Pipes sessions of one container, in whatever order their messages come.

A container may have several: one program after another, or one within another. Each opens Pipes, reports, and closes
it. Only a program that crashed, in a container that the engine then started again, may leave its session open.
"""

import time
from typing import Any, cast

import dagster as dg
from dagster_pipes import PipesException, PipesMessage

from drayage.verdict.exception import is_clean_exit, read_exception

_MOST_KEPT = 20


class Sessions:
    """The sessions of one container."""

    def __init__(self) -> None:
        self.opened_at: float | None = None
        self.count = 0
        self._open = 0
        self._closed_last = False
        self._after_close: list[str] = []

    def open(self) -> None:
        """Note that a session was opened."""
        # The first: it tells how long the workload took to start.
        self.opened_at = self.opened_at or time.monotonic()
        self.count += 1
        self._open += 1
        self._closed_last = False
        self._after_close.clear()

    def close(self) -> str | None:
        """Note that a session was closed; return what is wrong with it, if anything is."""
        if self.count == 0:
            return "it closed Dagster Pipes before it opened it"
        # A second close, such as that of a shell's trap, closes nothing.
        self._open = max(0, self._open - 1)
        self._closed_last = True
        self._after_close.clear()
        return None

    def report(self, what: str) -> str | None:
        """Note that something was reported.

        Args:
            what: The report, as a noun.

        Returns:
            What is wrong with it, if it was outside every session.
        """
        if self._open == 0:
            return f"it reported {what} {'after it had closed' if self.count else 'before it opened'} Dagster Pipes"
        if self._closed_last and len(self._after_close) < _MOST_KEPT:
            # Only a crashed program's session may be open: the end tells.
            self._after_close.append(f"it reported {what} after it had closed Dagster Pipes")
        return None

    def unclosed(self, restarts: int) -> int:
        """Return how many sessions were not closed and should have been.

        Args:
            restarts: How often the engine started the container again: each may have cut one session short.
        """
        # No restart has cut the last one short, because no other came after it.
        least = 1 if self.count and not self._closed_last else 0
        return max(least, self._open - restarts)

    def late(self, restarts: int) -> list[str]:
        """Return what is wrong with the reports after the last close, if only crashed programs left a session open."""
        return [] if self.unclosed(restarts) else self._after_close


class Closings:
    """The closing messages of one container, and the exceptions that came with them.

    Dagster's handler takes whatever follows a closing message for a mistake, so it gets them when all is read.
    """

    def __init__(self) -> None:
        self._failed: PipesException | None = None
        self._exited: PipesException | None = None
        self._excepted: list[Any] = []
        self._plain: list[Any] = []

    def exception(self, exit_code: int) -> PipesException | None:
        """Return the first exception with which the workload failed; None if there was none.

        Args:
            exit_code: The container's exit code; 0 makes Python's ``SystemExit`` of ``sys.exit(0)`` no failure.
        """
        return self._failed or (self._exited if exit_code else None)

    def note(self, params: Any) -> None:
        """Remember the exception of a closing message, whatever its form: the verdict needs it."""
        if not isinstance(params, dict) or params.get("exception") is None:
            return
        exception = read_exception(params["exception"])
        if is_clean_exit(exception):
            self._exited = self._exited or exception
        else:
            self._failed = self._failed or exception

    def hold(self, message: Any) -> None:
        """Hold a well-formed closing message back for Dagster's handler, those with an exception first."""
        exception = (message["params"] or {}).get("exception")
        if exception is None or is_clean_exit(read_exception(exception)):
            self._plain.append({**message, "params": {}})
        else:
            self._excepted.append(message)
        del self._plain[_MOST_KEPT:], self._excepted[_MOST_KEPT:]

    def deliver(self, handler: dg.PipesMessageHandler) -> None:
        """Pass on as many of them as the handler waits for."""
        for message in (*self._excepted, *self._plain):
            handler.handle_message(cast("PipesMessage", message))
            if handler.received_closed_message:
                return
