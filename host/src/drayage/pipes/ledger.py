"""Records what a workload sent in one session, and whether every message was understood.

The ledger sits between the message reader, whichever is in use, and Dagster's own handler: the handler turns messages
into results and log lines, and the ledger remembers what the verdict needs.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, Protocol, cast

import dagster as dg
from dagster_pipes import PipesException, PipesMessage

from drayage.engine import ContainerState
from drayage.pipes.lines import OverlongLine
from drayage.pipes.schema import require_message
from drayage.redaction import Redactor
from drayage.verdict.judge import Ending, Facts, LimitReached

_KEPT_PROBLEMS = 20
_EXCERPT_BYTES = 200

CustomMessageHandler = Callable[[Any], bool]


class MessageSink(Protocol):
    """The receiver of everything that a message reader reads."""

    def handle_message(self, message: Any) -> None:
        """Handle one parsed message."""

    def report_problem(self, text: str, line: bytes | None = None) -> None:
        """Record something that was not understood."""


class Ledger:
    """A record of what came through Pipes in one session.

    Args:
        on_activity: Called after each message, from the reader's thread.
        on_custom: Called with a custom message's payload; returns whether Dagster's handler should also keep the
            message in memory.
        redact: Removes secrets from messages, before anything else sees them, and from problems.
    """

    def __init__(
        self,
        *,
        on_activity: Callable[[], None] = lambda: None,
        on_custom: CustomMessageHandler = lambda _payload: False,
        redact: Redactor | None = None,
    ) -> None:
        self._on_activity = on_activity
        self._on_custom = on_custom
        self._redact = Redactor(()) if redact is None else redact
        self._problems = Problems()
        self._handler: dg.PipesMessageHandler | None = None
        self._taken = 0
        self.messages = 0
        self.opened_at: float | None = None
        self.closed = False
        self.exception: PipesException | None = None
        self.last_message_at: float | None = None

    def over(self, handler: dg.PipesMessageHandler) -> "LedgerHandler":
        """Wrap Dagster's handler, and return the handler that readers must use in its place."""
        self._handler = handler
        return LedgerHandler(self, handler)

    def take_results(self) -> Sequence[dg.PipesExecutionResult]:
        """Return the reported materializations and checks that earlier calls have not returned."""
        if self._handler is None:
            return ()
        reported = self._handler.get_reported_results()
        new, self._taken = reported[self._taken :], len(reported)
        return new

    def facts(
        self, state: ContainerState, *, broken_promises: Sequence[str], limit: LimitReached | None, debug_text: str
    ) -> Facts:
        """Return the facts that the verdict is based on.

        Args:
            state: The container at its end.
            broken_promises: One clause for each broken promise.
            limit: The time limit that was reached; None if none was.
            debug_text: Where context and messages were exchanged.
        """
        return Facts(
            ending=Ending(state.exit_code, state.oom_killed, state.memory_limit_bytes, state.error),
            opened=self.opened_at is not None,
            closed=self.closed,
            exception=self.exception,
            problems=self._problems.first,
            problem_count=self._problems.count,
            broken_promises=broken_promises,
            limit=limit,
            debug_text=debug_text,
        )

    def report_problem(self, text: str, line: bytes | None = None) -> None:
        """Record something that was not understood; it makes the step red in the end.

        Args:
            text: What was wrong.
            line: The offending bytes; their beginning is quoted.
        """
        if line is not None:
            # Redacted before it is cut, because no half of a secret can be found.
            clean = self._redact.beginning(line) if isinstance(line, OverlongLine) else self._redact(line)
            excerpt = clean[:_EXCERPT_BYTES].decode("utf-8", "backslashreplace")
            text = f"{text}: {excerpt}{'…' if len(line) > _EXCERPT_BYTES else ''}"
        self._problems.add(self._redact.text(text))

    def take(self, message: Any, handler: dg.PipesMessageHandler) -> None:
        """Record what the verdict needs from a message, and let Dagster's handler do the rest."""
        self.messages += 1
        self.last_message_at = time.monotonic()
        try:
            message = self._redact.message(message)
            self._understand(message, handler)
        except Exception as error:  # noqa: BLE001 - any error of a handler means one message that was not understood
            self.report_problem(
                f"message {self.messages} ({_describe(message)}) was not understood: {type(error).__name__}: {error}"
            )
        self._on_activity()

    def _understand(self, message: Any, handler: dg.PipesMessageHandler) -> None:
        if isinstance(message, dict) and message.get("method") == "closed":
            # Before validation, because the verdict needs the exception even if a library omits some of its fields.
            # Dagster's handler only logs it.
            params = message.get("params")
            self.exception = params.get("exception") if isinstance(params, Mapping) else None
        require_message(message)
        method, params = message["method"], message["params"]
        if method == "report_custom_message" and not self._on_custom(params["payload"]):
            return
        handler.handle_message(cast("PipesMessage", message))
        if method == "opened":
            self.opened_at = time.monotonic()
        elif method == "closed":
            self.closed = True


class Problems:
    """The problems of one session; several threads may add to them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.count = 0
        self.first: list[str] = []

    def add(self, text: str) -> None:
        """Count a problem, and keep its text if it is one of the first few."""
        with self._lock:
            self.count += 1
            if len(self.first) < _KEPT_PROBLEMS:
                self.first.append(text)


class LedgerHandler:
    """Stands in for Dagster's handler in a message reader, and records everything in the ledger.

    Args:
        ledger: The ledger.
        handler: Dagster's own handler.
    """

    def __init__(self, ledger: Ledger, handler: dg.PipesMessageHandler) -> None:
        self._ledger = ledger
        self._handler = handler

    def handle_message(self, message: Any) -> None:
        """Handle one message; a bad one does not raise, so that the reader goes on to the next."""
        self._ledger.take(message, self._handler)

    def report_problem(self, text: str, line: bytes | None = None) -> None:
        """Record a line that is not a message."""
        self._ledger.report_problem(text, line)

    def report_pipes_framework_exception(self, origin: str, exc_info: Any) -> None:
        """Record an error of the reader itself, which the stock client would only log."""
        self._ledger.report_problem(f"{origin}: {exc_info[0].__name__}: {exc_info[1]}")
        self._handler.report_pipes_framework_exception(origin, exc_info)

    def __getattr__(self, name: str) -> Any:
        """Return whatever else readers from other packages use of Dagster's handler."""
        return getattr(self._handler, name)


def _describe(message: Any) -> str:
    if not isinstance(message, Mapping):
        return f"a JSON {type(message).__name__}"
    method = message.get("method")
    params = message.get("params")
    asset = params.get("asset_key") if isinstance(params, Mapping) else None
    return f"method {method!r}" + (f" for {asset!r}" if asset else "")
