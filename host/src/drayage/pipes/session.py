"""A Pipes session with drayage between its parts: every message through the ledger, partitions in every context."""

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
from drayage.pipes.reader import LogMessageReader, MessageFileReader
from drayage.request import StepRequest


def choose_reader(given: dg.PipesMessageReader | None, attempt: Attempt) -> dg.PipesMessageReader:
    """Take the reader that was given; else, or in place of the stock client's reader of Docker's log, one of drayage's.

    Args:
        given: What the client or its caller was given.
        attempt: Its messages file is read where nothing was given.
    """
    if isinstance(given, PipesDockerLogsMessageReader):
        return LogMessageReader()
    return given or MessageFileReader(attempt.messages, workload_path=WORKLOAD_MESSAGES)


def open_session(
    request: StepRequest, attempt: Attempt, reader: dg.PipesMessageReader, *, adopted: bool
) -> AbstractContextManager[dg.PipesSession]:
    """Open the Pipes session of one attempt.

    Args:
        request: What was asked for.
        attempt: Its context goes there, where the request has no injector of its own.
        reader: Reads what the workload says.
        adopted: Whether the container runs, or ran, already: its context is written.
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
        reader: Does the reading.
        ledger: Notes what it finds.
    """

    def __init__(self, reader: dg.PipesMessageReader, ledger: Ledger) -> None:
        self._reader = reader
        self._ledger = ledger

    @contextlib.contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Iterator[PipesParams]:
        """Let the reader read, with the ledger as its handler."""
        # The ledger's handler has all that readers use of Dagster's; Dagster's own composite reader passes
        # a stand-in the same way.
        with self._reader.read_messages(self._ledger.over(handler)) as params:  # type: ignore[arg-type]
            yield params

    @property
    def expected_writer_count(self) -> int:
        """As the reader says, where it says something of its own: asking Dagster's default warns."""
        if type(self._reader).expected_writer_count is dg.PipesMessageReader.expected_writer_count:
            return 1
        return self._reader.expected_writer_count

    def on_opened(self, opened_payload: PipesOpenedData) -> None:
        """Pass on what the workload said when it opened Pipes."""
        self._reader.on_opened(opened_payload)

    def on_launched(self, launched_payload: dg.PipesLaunchedData) -> None:
        """Pass on what the launch reported."""
        self._reader.on_launched(launched_payload)

    def no_messages_debug_text(self) -> str:
        """As the reader says."""
        return self._reader.no_messages_debug_text()


class ContextFile(dg.PipesContextInjector):
    """Hands the context over as a file in the exchange directory, of any size, and leaves it there.

    Args:
        attempt: Where it goes.
        write: False leaves the context that is there, for a container that may have read it already.
    """

    def __init__(self, attempt: Attempt, *, write: bool = True) -> None:
        self._attempt = attempt
        self._write = write

    @contextlib.contextmanager
    def inject_context(self, context_data: PipesContextData) -> Iterator[PipesParams]:
        """Write the context, and tell the workload its path there."""
        if self._write:
            self._attempt.write_context(json.dumps(context_data))
        yield {PipesDefaultContextLoader.FILE_PATH_KEY: WORKLOAD_CONTEXT}

    def no_messages_debug_text(self) -> str:
        """Say where the context went."""
        return f"The context was written to {self._attempt.context}, which the container sees as {WORKLOAD_CONTEXT}."


class PartitionInjector(dg.PipesContextInjector):
    """Adds key range and time window to the context where a run covers several partitions at once.

    Dagster's own context carries them for a single partition only, so that a workload in a single-run backfill
    would not know what it is to make.

    Args:
        injector: Hands the context over.
        context: Dagster's context of the executing step.
    """

    def __init__(self, injector: dg.PipesContextInjector, context: Context) -> None:
        self._injector = injector
        self._context = context

    @contextlib.contextmanager
    def inject_context(self, context_data: PipesContextData) -> Iterator[PipesParams]:
        """Hand the completed context over."""
        with self._injector.inject_context(self._completed(context_data)) as params:
            yield params

    def no_messages_debug_text(self) -> str:
        """As the injector says."""
        return self._injector.no_messages_debug_text()

    def _completed(self, context_data: PipesContextData) -> PipesContextData:
        context = self._context
        if context.has_partition_key or not context.has_partition_key_range:
            return context_data
        keys = context.partition_key_range
        completed = {**context_data, "partition_key_range": {"start": keys.start, "end": keys.end}}
        with contextlib.suppress(dg.DagsterInvariantViolationError, ValueError):
            # Only partitions of time have a window; there is no public way to ask beforehand.
            window = context.partition_time_window
            completed["partition_time_window"] = {"start": window.start.isoformat(), "end": window.end.isoformat()}
        return completed  # type: ignore[return-value]  # a TypedDict's copy with other values
