"""Opens Pipes sessions in which every message goes through the ledger and every context carries its partitions."""

import contextlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager

import dagster as dg
from dagster_docker.pipes import PipesDockerLogsMessageReader
from dagster_pipes import PipesContextData, PipesDefaultContextLoader, PipesOpenedData, PipesParams

from drayage.dagster_internals import Context
from drayage.exchange.directory import WORKLOAD_CONTEXT, WORKLOAD_MESSAGES, Attempt
from drayage.pipes.ledger import Ledger
from drayage.pipes.limits import MessageLimits
from drayage.pipes.reader import LogMessageReader, MessageFileReader
from drayage.request import StepRequest


def choose_reader(
    given: dg.PipesMessageReader | None, attempt: Attempt, limits: MessageLimits
) -> dg.PipesMessageReader:
    """Return the message reader to use.

    Args:
        given: The reader that the client or its caller was given, if any.
        limits: How much the workload may send.
        attempt: The attempt, whose messages file is read if no reader was given.

    Returns:
        The given reader; drayage's own reader of the output in place of the stock client's reader of Docker's log; or
        a reader of the messages file if none was given.
    """
    if isinstance(given, PipesDockerLogsMessageReader):
        return LogMessageReader(limits)
    return given or MessageFileReader(attempt.messages, workload_path=WORKLOAD_MESSAGES, limits=limits)


def open_session(
    request: StepRequest, attempt: Attempt, reader: dg.PipesMessageReader, *, adopted: bool
) -> AbstractContextManager[dg.PipesSession]:
    """Open the Pipes session of one attempt.

    Args:
        request: The step's request.
        attempt: The attempt, to which the context is written unless the request has its own injector.
        reader: Reads the workload's messages.
        adopted: Whether the container is already running, or has run; if so, its context has been written before.
    """
    injector = request.context_injector or ContextFile(attempt, write=not adopted)
    return dg.open_pipes_session(
        context=request.context,
        context_injector=PartitionInjector(injector, request.context),
        message_reader=reader,
        extras=request.extras,
    )


class LedgerReader(dg.PipesMessageReader):
    """Puts the ledger between a message reader and Dagster's handler.

    Args:
        reader: The reader that does the reading.
        ledger: The ledger that records what it reads.
    """

    def __init__(self, reader: dg.PipesMessageReader, ledger: Ledger) -> None:
        self._reader = reader
        self._ledger = ledger

    @contextlib.contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Iterator[PipesParams]:
        """Read messages with the wrapped reader, and the ledger as its handler."""
        # The ledger's handler has everything that readers use of Dagster's handler. Dagster's own composite reader
        # passes a stand-in in the same way.
        hurried = True
        try:
            with self._reader.read_messages(self._ledger.over(handler)) as params:  # type: ignore[arg-type]
                yield params
            hurried = False
        finally:
            self._ledger.finish(hurried=hurried)

    @property
    def expected_writer_count(self) -> int:
        """The wrapped reader's own value; 1 if it only inherits Dagster's default, which emits a warning when read."""
        if type(self._reader).expected_writer_count is dg.PipesMessageReader.expected_writer_count:
            return 1
        return self._reader.expected_writer_count

    def on_opened(self, opened_payload: PipesOpenedData) -> None:
        """Pass on what the workload reported when it opened Pipes."""
        self._reader.on_opened(opened_payload)

    def on_launched(self, launched_payload: dg.PipesLaunchedData) -> None:
        """Pass on what the launch reported."""
        self._reader.on_launched(launched_payload)

    def no_messages_debug_text(self) -> str:
        """Return the wrapped reader's text."""
        return self._reader.no_messages_debug_text()


class ContextFile(dg.PipesContextInjector):
    """Passes the context, of any size, as a file in the exchange directory, and leaves it there.

    Args:
        attempt: The attempt that the context is written to.
        write: Whether to write the context; False keeps the existing one, which the container may already have read.
    """

    def __init__(self, attempt: Attempt, *, write: bool = True) -> None:
        self._attempt = attempt
        self._write = write

    @contextlib.contextmanager
    def inject_context(self, context_data: PipesContextData) -> Iterator[PipesParams]:
        """Write the context, and yield the parameters that give the workload its path."""
        if self._write:
            self._attempt.write_context(json.dumps(context_data))
        yield {PipesDefaultContextLoader.FILE_PATH_KEY: WORKLOAD_CONTEXT}

    def no_messages_debug_text(self) -> str:
        """Return a sentence that says where the context was written."""
        return f"The context was written to {self._attempt.context}, which the container sees as {WORKLOAD_CONTEXT}."


class PartitionInjector(dg.PipesContextInjector):
    """Adds the key range and time window to the context if a run covers several partitions at once.

    Dagster's own context carries them for a single partition only, so a workload in a single-run backfill would not
    know which partitions to make.

    Args:
        injector: Passes the context to the workload.
        context: Dagster's context of the executing step.
    """

    def __init__(self, injector: dg.PipesContextInjector, context: Context) -> None:
        self._injector = injector
        self._context = context

    @contextlib.contextmanager
    def inject_context(self, context_data: PipesContextData) -> Iterator[PipesParams]:
        """Pass on the context with its partitions added."""
        with self._injector.inject_context(self._completed(context_data)) as params:
            yield params

    def no_messages_debug_text(self) -> str:
        """Return the wrapped injector's text."""
        return self._injector.no_messages_debug_text()

    def _completed(self, context_data: PipesContextData) -> PipesContextData:
        context = self._context
        if context.has_partition_key or not context.has_partition_key_range:
            return context_data
        keys = context.partition_key_range
        completed = {**context_data, "partition_key_range": {"start": keys.start, "end": keys.end}}
        with contextlib.suppress(dg.DagsterInvariantViolationError, ValueError):
            # Only time partitions have a window, and there is no public way to ask beforehand.
            window = context.partition_time_window
            completed["partition_time_window"] = {"start": window.start.isoformat(), "end": window.end.isoformat()}
        return completed  # type: ignore[return-value]  # a TypedDict's copy with other values
