"""Runs one container to its end: the part that a step and a replay have in common."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from threading import Event

import dagster as dg

from drayage.engine import ContainerState, Engine
from drayage.errors import ExchangeError
from drayage.exchange.directory import Attempt
from drayage.exchange.record import VerdictRecord
from drayage.pipes.adapter import open_adapter
from drayage.pipes.ledger import CustomMessageHandler, Ledger
from drayage.pipes.reader import LogMessageReader
from drayage.redaction import Redactor
from drayage.request import ContainerRequest
from drayage.step.launch import Launched, Launcher
from drayage.step.losses import Losses
from drayage.step.output import OutputLogs, open_output_logs
from drayage.step.watch import Watch
from drayage.verdict.failure import plain, shortened
from drayage.verdict.judge import Facts, LimitReached, Reason, SizeReached, Verdict, judge


class Runner:
    """Runs one container: opens its logs, launches it, watches it, awaits its end, and records the verdict.

    Args:
        request: What the container is made of.
        engine: The engine that runs the container.
        on_custom: Takes custom messages, as in :class:`drayage.pipes.ledger.Ledger`.
    """

    def __init__(
        self,
        request: ContainerRequest,
        engine: Engine,
        *,
        on_custom: CustomMessageHandler,
    ) -> None:
        self._request = request
        self._engine = engine
        self._changed = Event()
        self.redactor = Redactor(request.secrets.values(), names=request.names if request.secrets else ())
        self.ledger = Ledger(on_activity=self._changed.set, on_custom=on_custom, redact=self.redactor)
        self.losses = Losses()
        self.container_id: str | None = None
        self.launched: Launched | None = None
        self.launcher = Launcher(
            request,
            engine,
            on_change=self._changed.set,
            on_created=self._note_container,
            on_launched=self._note_launched,
        )
        self.limit: LimitReached | SizeReached | None = None

    @contextlib.contextmanager
    def open_logs(
        self, attempt: Attempt, reader: dg.PipesMessageReader, *, finished: bool = False
    ) -> Iterator[OutputLogs]:
        """Open the attempt's log files, and the adapter that reads them.

        Args:
            attempt: The attempt.
            reader: The message reader; if it reads messages from the container's output, it is fed from there.
            finished: Whether the run that judged the container has read its output to the end. The messages are then
                in the file already, including those that an adapter wrote.
        """
        intercept = reader.take_line if isinstance(reader, LogMessageReader) else None
        form = None if finished else self._request.adapter
        with (
            open_adapter(form, self._request.promised, messages=attempt.messages, redact=self.redactor) as adapter,
            open_output_logs(
                attempt.stdout,
                attempt.stderr,
                self.redactor,
                losses=self.losses,
                limit_bytes=self._request.settings.output_bytes,
                intercept=intercept,
                adapter=adapter,
                keep=finished,
            ) as logs,
        ):
            yield logs

    def changes(self, launched: Launched, logs: OutputLogs) -> Iterator[None]:
        """Yield whenever something has happened, until the container has ended or was stopped at a time limit."""
        watch = Watch(
            launched,
            self._request.settings,
            ledger=self.ledger,
            logs=logs,
            changed=self._changed,
            caught_up_at=lambda: launched.follower.caught_up_at,
        )
        yield from watch.changes()
        self.limit = watch.limit

    def result(self, launched: Launched, logs: OutputLogs) -> ContainerState:
        """Read the rest of the container's output, and return its last state.

        Raises:
            EngineError: The container vanished, or the engine does not come back.
        """
        state = launched.follower.result()
        logs.end(state.exit_code)
        return state

    def was_started(self) -> bool:
        """Return whether the container has been started.

        Raises:
            EngineError: The engine does not answer.
        """
        return self.launched is not None and self._engine.state(self.launched.state.id).status != "created"

    def stop(self, launched: Launched) -> None:
        """Stop the container: first with its stop signal, then by force."""
        launched.follower.stop(self._request.settings.stop_signal, self._request.settings.stop_grace_s)

    def facts(self, state: ContainerState, *, broken_promises: Sequence[str], debug_text: str) -> Facts:
        """Return everything that the verdict depends on, as :meth:`drayage.pipes.ledger.Ledger.facts` does."""
        facts = self.ledger.facts(state, broken_promises=broken_promises, limit=self.limit, debug_text=debug_text)
        return replace(facts, lost=self.losses.first, lost_count=self.losses.count)

    def judge(self, facts: Facts) -> Verdict:
        """Judge the container, as :func:`drayage.verdict.judge.judge` does, in plain text without secrets."""
        return Verdict(tuple(replace(reason, text=self._shown(reason.text)) for reason in judge(facts).reasons))

    def record(
        self,
        attempt: Attempt,
        verdict: Verdict,
        state: ContainerState | None,
        measures: Mapping[str, float | None] | None = None,
    ) -> Verdict:
        """Write the verdict beside the logs, without secrets.

        Args:
            attempt: The attempt.
            verdict: The verdict.
            state: State of the container at its end; None if the step ended first.
            measures: The step's own numbers.

        Returns:
            The verdict; a red one if it cannot be written, so that a retry adopts the container that it is about.
        """
        record = VerdictRecord(
            green=verdict.green,
            judged_at_s=time.time(),
            reasons=tuple(shortened(self._shown(reason.text)) for reason in verdict.reasons),
            notes=tuple(shortened(self._shown(note)) for note in self.losses.notes),
            state=state,
            measures=dict(measures or {}),
        )
        try:
            record.write(attempt)
        except ExchangeError as error:
            return Verdict((*verdict.reasons, Reason("output", f"the verdict was not recorded: {error}")))
        return verdict

    def scrub(self, attempt: Attempt) -> None:
        """Remove secrets from the messages that the workload wrote."""
        if self.redactor:
            longest_bytes = self._request.settings.message_bytes
            attempt.scrub_messages(partial(self.redactor.lines, longest_bytes=longest_bytes))

    def _shown(self, text: str) -> str:
        return plain(self.redactor.text(text))

    def _note_container(self, container_id: str) -> None:
        self.container_id = container_id

    def _note_launched(self, launched: Launched) -> None:
        self.launched = launched
