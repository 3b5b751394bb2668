"""Opens Pipes sessions in which every message goes through the ledger and every context carries its partitions."""

import contextlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager

import dagster as dg
from dagster_docker.pipes import PipesDockerLogsMessageReader
from dagster_pipes import PipesContextData, PipesDefaultContextLoader, PipesOpenedData, PipesParams

from drayage.dagster_internals import Context
from drayage.engine import Mailbox
from drayage.exchange.directory import Attempt
from drayage.mailbox import WORKLOAD_CONTEXT
from drayage.pipes.ledger import Ledger
from drayage.pipes.limits import MessageLimits
from drayage.pipes.reader import LogMessageReader, MailboxReader
from drayage.request import StepRequest


def choose_reader(
    given: dg.PipesMessageReader | None, attempt: Attempt, mailbox: Mailbox, limits: MessageLimits
) -> dg.PipesMessageReader:
    """Return the message reader to use.

    Args:
        given: The reader that the client or its caller was given, if any.
        limits: How much the workload may send.
        attempt: The attempt, whose directory keeps the messages.
        mailbox: The container's mailbox, which is read if no reader was given.

    Returns:
        The given reader; drayage's own reader of the output in place of the stock client's reader of Docker's log; or
        a reader of the messages file if none was given.
    """
    if isinstance(given, PipesDockerLogsMessageReader):
        return LogMessageReader(limits)
    return given or MailboxReader(mailbox, kept_in=attempt.messages, limits=limits)


def open_session(
    request: StepRequest, attempt: Attempt, mailbox: Mailbox, reader: dg.PipesMessageReader
) -> AbstractContextManager[dg.PipesSession]:
    """Open the Pipes session of one attempt.

    Args:
        request: The step's request.
        attempt: The attempt.
        mailbox: The container's mailbox, which takes the context unless the request has its own injector. If the
            container is running already, or has run, its context is there, and stays.
        reader: Reads the workload's messages.
    """
    injector = request.context_injector or MailboxInjector(mailbox, attempt)
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


class MailboxInjector(dg.PipesContextInjector):
    """Passes the context, of any size, through the container's mailbox.

    Args:
        mailbox: The mailbox.
        attempt: The attempt, whose directory keeps the context.
    """

    def __init__(self, mailbox: Mailbox, attempt: Attempt) -> None:
        self._mailbox = mailbox
        self._attempt = attempt

    @contextlib.contextmanager
    def inject_context(self, context_data: PipesContextData) -> Iterator[PipesParams]:
        """Put the context into the mailbox, and yield the parameters that give the workload its path."""
        self._mailbox.put_context(json.dumps(context_data).encode())
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
