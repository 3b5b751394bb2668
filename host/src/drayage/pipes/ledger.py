"""Records what a workload sent in one session, and whether every message was understood.

The ledger sits between the message reader, whichever is in use, and Dagster's own handler: the handler turns messages
into results and log lines, and the ledger remembers what the verdict needs.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import dagster as dg
from dagster_pipes import PipesMessage

from drayage.engine import ContainerState
from drayage.pipes.lines import OverlongLine
from drayage.pipes.problems import Problems
from drayage.pipes.schema import is_runner_message, require_message
from drayage.pipes.sessions import Closings, Sessions
from drayage.pipes.values import shown
from drayage.redaction import Redactor
from drayage.verdict.judge import Ending, Facts, LimitReached, SizeReached

_EXCERPT_BYTES = 200
_LONGEST_PROBLEM = 2000
_LONGEST_LEVEL = 40
LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL"})
_REPORTS = {"report_asset_materialization": "a materialization of", "report_asset_check": "a check of"}

Limit = LimitReached | SizeReached
CustomMessageHandler = Callable[[Any], bool]


class MessageSink(Protocol):
    """The receiver of everything that a message reader reads."""

    def handle_message(self, message: Any) -> None:
        """Handle one parsed message."""

    def report_problem(self, text: str, line: bytes | None = None) -> None:
        """Record something that was not understood."""

    def reach_limit(self, limit: SizeReached) -> None:
        """Note that the messages have reached a limit of size."""


class LogSink(Protocol):
    """The receiver of log messages, which never blocks."""

    def put(self, level: str, text: str) -> None:
        """Take one log message."""

    def finish(self, *, hurried: bool) -> None:
        """Wait until what was taken is delivered, for a moment only if ``hurried``."""


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
        self._disorder = Problems()
        self._sessions = Sessions()
        self._closings = Closings()
        self._handler: dg.PipesMessageHandler | None = None
        self._log_sink: LogSink | None = None
        self._taken = 0
        self._messages = 0
        self.limit: SizeReached | None = None
        self.last_message_at: float | None = None

    @property
    def opened_at(self) -> float | None:
        """When the workload first opened Pipes, in seconds of monotonic time; None if it has not."""
        return self._sessions.opened_at

    def over(self, handler: dg.PipesMessageHandler) -> "LedgerHandler":
        """Wrap Dagster's handler, and return the handler that readers must use in its place."""
        self._handler = handler
        return LedgerHandler(self, handler)

    def pass_logs_to(self, sink: LogSink) -> None:
        """Let log messages go to a sink of their own rather than to Dagster's handler, which stores one at a time."""
        self._log_sink = sink

    def take_results(self) -> Sequence[dg.PipesExecutionResult]:
        """Return the reported materializations and checks that earlier calls have not returned."""
        if self._handler is None:
            return ()
        reported = self._handler.get_reported_results()
        new, self._taken = reported[self._taken :], len(reported)
        return new

    def materialized(self) -> set[dg.AssetKey]:
        """Return the assets that were reported as materialized so far."""
        reported = self._handler.get_reported_results() if self._handler else ()
        return {
            dg.AssetKey.from_coercible(result.asset_key)
            for result in reported
            if isinstance(result, dg.MaterializeResult) and result.asset_key is not None
        }

    def facts(
        self, state: ContainerState, *, broken_promises: Sequence[str], limit: Limit | None, debug_text: str
    ) -> Facts:
        """Return the facts that the verdict is based on.

        Args:
            state: The container at its end.
            broken_promises: One clause for each broken promise.
            limit: The limit at which the container was stopped; None if none was.
            debug_text: Where context and messages were exchanged.
        """
        unclosed = self._sessions.unclosed(state.restarts)
        return Facts(
            ending=Ending(state.exit_code, state.oom_killed, state.memory_limit_bytes, state.error),
            opened=self._sessions.count > 0,
            closed=unclosed == 0,
            sessions=self._sessions.count,
            unclosed=unclosed,
            disorder=(*self._disorder.first, *self._sessions.late(state.restarts)),
            disorder_count=self._disorder.count + len(self._sessions.late(state.restarts)),
            exception=self._closings.exception(state.exit_code),
            problems=self._problems.first,
            problem_count=self._problems.count,
            broken_promises=broken_promises,
            # The last messages may exceed it when the container has ended.
            limit=limit or self.limit,
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
        text = self._redact.text(text)
        short = text if len(text) <= _LONGEST_PROBLEM else f"{text[:_LONGEST_PROBLEM]}…"
        # What cannot be encoded cannot be stored, and the problem would be lost with it.
        self._problems.add(short.encode("utf-8", "backslashreplace").decode())

    def take(self, message: Any, handler: dg.PipesMessageHandler) -> None:
        """Record what the verdict needs from a message, and let Dagster's handler do the rest."""
        self._messages += 1
        self.last_message_at = time.monotonic()
        try:
            message = self._redact.message(message)
            self._understand(message, handler)
        except Exception as error:  # noqa: BLE001 - any error of a handler means one message that was not understood
            self._report_misunderstood(message, error)
        self._on_activity()

    def reach_limit(self, limit: SizeReached) -> None:
        """Note that the messages have reached a limit of size, at which the container is stopped."""
        if self.limit is None:
            self.limit = limit
            self._on_activity()

    def finish(self, *, hurried: bool = False) -> None:
        """Pass on the rest of the log, and then the closing messages, when everything is read.

        Args:
            hurried: Whether the step ends early, and waits for a moment only.
        """
        if self._log_sink is not None:
            # A step that ends early has no verdict to say what was lost.
            for text in self._problems.first if hurried else ():
                self._log_sink.put("WARNING", text)
            self._log_sink.finish(hurried=hurried)
        if self._handler is None:
            return
        try:
            self._closings.deliver(self._handler)
        except Exception as error:  # noqa: BLE001 - as above
            self._report_misunderstood({"method": "closed"}, error)

    def _understand(self, message: Any, handler: dg.PipesMessageHandler) -> None:
        method = message.get("method") if isinstance(message, dict) else None
        # Before validation, because a message with a mistake in it opens and closes a session too.
        if method == "opened":
            self._sessions.open()
        elif method == "closed":
            self._note_disorder(self._sessions.close())
            self._closings.note(message.get("params"))
        require_message(message)
        method, params = message["method"], message["params"]
        if method == "closed":
            self._closings.hold(message)
            return
        if (what := _report(method, params)) and self._note_disorder(self._sessions.report(what)):
            return
        if method == "report_custom_message" and not self._on_custom(params["payload"]):
            return
        if method == "log":
            message = _with_known_level(message)
            if self._log_sink is not None:
                self._log_sink.put(message["params"].get("level", "INFO"), message["params"]["message"])
                return
        handler.handle_message(cast("PipesMessage", message))

    def _note_disorder(self, text: str | None) -> bool:
        if text is not None:
            self._disorder.add(f"{text} (message {self._messages})")
        return text is not None

    def _report_misunderstood(self, message: Any, error: Exception) -> None:
        self.report_problem(
            f"message {self._messages} ({_describe(message)}) was not understood: {type(error).__name__}: {error}"
        )


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

    def reach_limit(self, limit: SizeReached) -> None:
        """Note that the messages have reached a limit of size."""
        self._ledger.reach_limit(limit)

    def report_pipes_framework_exception(self, origin: str, exc_info: Any) -> None:
        """Record an error of the reader itself, which the stock client would only log."""
        self._ledger.report_problem(f"{origin}: {exc_info[0].__name__}: {exc_info[1]}")
        self._handler.report_pipes_framework_exception(origin, exc_info)

    def __getattr__(self, name: str) -> Any:
        """Return whatever else readers from other packages use of Dagster's handler."""
        return getattr(self._handler, name)


def _report(method: str, params: Mapping[str, Any]) -> str | None:
    """Return what a message reports, as a noun; None if it may come at any time, as log messages may."""
    if method in _REPORTS:
        check = f" {shown(params['check_name'])}" if "check_name" in params else ""
        return f"{_REPORTS[method]} {shown(params['asset_key'])}{check and ','}{check}"
    if method == "report_custom_message" and is_runner_message(params["payload"]):
        return f"a message of kind {shown(params['payload']['kind'])}"
    return None


def _with_known_level(message: Any) -> Any:
    """Let a log message of a level that Dagster does not have be shown as INFO, with the level's name."""
    level = message["params"].get("level", "INFO")
    if level.upper() in LEVELS:
        return message
    name = level if len(level) <= _LONGEST_LEVEL else f"{level[:_LONGEST_LEVEL]}…"
    return {**message, "params": {"level": "INFO", "message": f"[{name}] {message['params']['message']}"}}


def _describe(message: Any) -> str:
    if not isinstance(message, Mapping):
        return f"a JSON {type(message).__name__}"
    method = message.get("method")
    params = message.get("params")
    asset = params.get("asset_key") if isinstance(params, Mapping) else None
    return f"method {shown(method)}" + (f" for {shown(asset)}" if asset else "")
