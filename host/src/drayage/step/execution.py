"""Runs one step, from its exchange directory to its verdict; ``client.py`` passes the request in."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from threading import Timer
from typing import Any

import dagster as dg

from drayage.dagster_internals import EventLogWriter
from drayage.engine import ContainerState, remove_owned
from drayage.errors import DrayageError, EngineError
from drayage.exchange.directory import Attempt
from drayage.interrupts import between_yields, deliver
from drayage.pipes.custom_messages import CustomMessages
from drayage.pipes.limits import MessageLimits
from drayage.pipes.log_lines import LogLines
from drayage.pipes.reader import MailboxReader
from drayage.pipes.session import LedgerReader, choose_reader, open_session
from drayage.request import StepRequest
from drayage.step.adoption import Adopted
from drayage.step.invocation import DrayageInvocation
from drayage.step.launch import Launched, find_image
from drayage.step.output import OutputLogs
from drayage.step.runner import Runner
from drayage.step.start import Start, StepHost, choose_start
from drayage.verdict.failure import debug_commands, error_failure, step_failure
from drayage.verdict.judge import Facts, Reason, Verdict
from drayage.verdict.reports import Reports
from drayage.verdict.results import (
    AlreadyLogged,
    all_faults,
    expected_of,
    faults,
    keep_as_observations,
    with_metadata,
    without_logged,
)

_REMOVAL_DELAY_S = 0.02


class Execution:
    """Runs one step's container, from its creation to its verdict.

    Args:
        request: What the step asks for.
        host: The objects that all steps share.
    """

    def __init__(self, request: StepRequest, host: StepHost) -> None:
        self._request = request
        self._host = host
        self._custom = CustomMessages(request.context, self._measures, recorded=self._recorded)
        self._runner = Runner(request, host.engine, on_custom=self._take_custom_message)
        self._streamed = Reports(expected_of(request, streaming=True))
        self._start: Start | None = None
        self._verdict: Verdict | None = None
        self._streaming = self._left_running = self._ended_early = self._has_ended = False
        self._metadata: dict[str, dg.MetadataValue] = {}
        self.invocation: DrayageInvocation | None = None

    def results(self, *, streaming: bool) -> Iterator[Any]:
        """Run the step, and set ``invocation`` when it is green.

        Args:
            streaming: Whether to yield results as they arrive; otherwise nothing is yielded.

        Raises:
            dagster.Failure: The step is not green.
        """
        self._streaming = streaming
        try:
            # A pull takes minutes, so an interrupt must be able to end it.
            image_id = find_image(self._request, self._host.engine)
            yield from between_yields(self._run_step(image_id))
        except DrayageError as error:
            text = self._runner.redactor.text(str(error))
            # Without a container there is nothing to inspect or to start again.
            commands = self._commands(self._start).values() if self._start and self._runner.container_id else ()
            # Dagster records the errors that led to this one too, and their texts cannot be redacted.
            cause = error if self._runner.redactor.allows(error) else None
            raise error_failure(text, error, self._measured_metadata(), commands=commands) from cause

    def _run_step(self, image_id: str) -> Generator[Any, None, None]:
        request, runner = self._request, self._runner
        start = self._start = choose_start(request, image_id, self._host)
        attempt, adopted = start.attempt, start.adopted
        self._metadata |= {
            "image_id": dg.MetadataValue.text(image_id),
            "exchange_dir": dg.MetadataValue.path(str(attempt.path)),
            "debug_command": dg.MetadataValue.text(self._commands(start)["shell"]),
        }
        try:
            reader = choose_reader(request.message_reader, attempt, start.mailbox, MessageLimits.of(request.settings))
            runner.ledger.pass_logs_to(self._log_lines(attempt, reader))
            ledger_reader = LedgerReader(reader, runner.ledger)
            finished = adopted is not None and adopted.finished
            with (
                runner.open_logs(attempt, reader, finished=finished) as logs,
                start.creating(runner.launcher) as creating,
                open_session(request, attempt, start.mailbox, ledger_reader) as session,
            ):
                if adopted is not None and adopted.finished:
                    state = self._take_finished(adopted)
                else:
                    launch = partial(start.launch, runner.launcher, logs, session.get_bootstrap_env_vars(), creating)
                    state = yield from self._run_container(launch, logs)
            for note in runner.losses.notes:
                request.context.log.warning("%s", runner.redactor.text(note))
            # The session is closed: the last message has been read.
            if self._streaming:
                yield from self._reported()
            self._metadata = self._measured_metadata()
            # A cancel may have come while the session closed; what was reported is then kept as observations.
            deliver()
            breaches = all_faults(request, session.get_reported_results(), streaming=self._streaming)
            debug_text = ledger_reader.no_messages_debug_text()
            facts = runner.facts(state, broken_promises=breaches, debug_text=debug_text)
            self._judge(start, state, logs, session, facts)
        except BaseException as error:
            self._refuse_another_time(start, error)
            # The next step may never start.
            self._host.standby_pool.discard(request.identity)
            # A step that ended before its verdict keeps its measures too, so that their plots have no gaps.
            keep_as_observations(request.context, runner.ledger.take_results(), self._measured_metadata())
            raise
        finally:
            # Each of them even if the one before fails, the last one first.
            with contextlib.ExitStack() as last:
                last.callback(start.lock.release)
                last.callback(self._clean_up, start)
                last.callback(start.mailbox.collect)

    def _log_lines(self, attempt: Attempt, reader: dg.PipesMessageReader) -> LogLines:
        in_file = isinstance(reader, MailboxReader)
        return LogLines(
            EventLogWriter(self._request.context).write,
            report_problem=self._runner.ledger.report_problem,
            where=f"all are in {attempt.messages}" if in_file else "they are kept nowhere else",
        )

    def _take_finished(self, adopted: Adopted) -> ContainerState:
        """Adopt the numbers of a container that an interrupted run judged green and removed."""
        self._has_ended = True
        self._runner.container_id = adopted.state.id
        self._metadata |= adopted.measures
        return adopted.state

    def _run_container(self, launch: Callable[[], Launched], logs: OutputLogs) -> Generator[Any, None, ContainerState]:
        """Run the container to its end, yielding results as they come; return its last state."""
        runner = self._runner
        try:
            launched = launch()
            self._host.standby_pool.prepare(self._request.context, self._request.identity)
            for _ in runner.changes(launched, logs):
                if self._streaming:
                    yield from self._reported()
        except BaseException as error:
            try:
                self._end_early(error)
            except DrayageError as problem:
                self._note_leftover(problem)
            raise
        self._has_ended = True
        return runner.result(launched, logs)

    def _reported(self) -> Iterator[Any]:
        """Yield the results that were reported since the last call and keep their promises."""
        for result in self._runner.ledger.take_results():
            if not faults(self._streamed, result):
                complete = with_metadata(result, self._measured_metadata())
                yield from without_logged(self._request.context, [complete], self._already_logged())

    def _judge(
        self, start: Start, state: ContainerState, logs: OutputLogs, session: dg.PipesSession, facts: Facts
    ) -> None:
        request = self._request
        judged = self._runner.judge(facts)
        self._verdict = verdict = self._runner.record(start.attempt, judged, state, self._measured())
        if not verdict.green:
            raise step_failure(
                verdict=verdict,
                facts=facts,
                state=state,
                last_lines=logs.last_lines(),
                metadata=self._metadata,
                commands=self._commands(start).values(),
                links=self._custom.links,
                whole=start.attempt.path / "failure.txt",
            )
        self.invocation = DrayageInvocation(
            session,
            metadata=self._metadata,
            attempt=start.attempt,
            implicit_materializations=request.implicit_materializations,
            keep_custom=request.message_reader is not None,
            already_logged=self._already_logged(),
        )

    def _take_custom_message(self, payload: Any) -> bool:
        """Handle a custom message of drayage's own; return whether Dagster's handler should keep it in memory."""
        # Messages that drayage reads itself stay in a file, where the invocation finds them.
        return not self._custom(payload) and self._request.message_reader is not None

    def _recorded(self) -> set[dg.AssetKey]:
        """Return the assets whose materialization Dagster gets as soon as it is reported."""
        return self._runner.ledger.materialized() if self._streaming else set()

    def _already_logged(self) -> AlreadyLogged:
        adopted = self._start.adopted if self._start else None
        return adopted.already_logged if adopted else AlreadyLogged()

    def _commands(self, start: Start) -> Mapping[str, str]:
        return debug_commands(self._host.command_line, start.attempt, self._request.identity.step)

    def _measured_metadata(self) -> dict[str, dg.MetadataValue]:
        container_id = self._runner.container_id
        known = {} if container_id is None else {"container_id": dg.MetadataValue.text(container_id)}
        return {**self._metadata, **known, **self._measures()}

    def _measures(self) -> dict[str, dg.MetadataValue]:
        return {
            name: dg.MetadataValue.null() if measured is None else dg.MetadataValue.float(measured)
            for name, measured in self._measured().items()
        }

    def _measured(self) -> dict[str, float | None]:
        """Return the step's own numbers so far, by their metadata names."""
        launched = self._runner.launched
        if launched is None:
            return {}
        opened_at = self._runner.ledger.opened_at
        # A retry that adopts a container reads its first message late, so the message's arrival time is unknown.
        is_adopted = self._start is not None and self._start.adopted is not None
        start_s = None if opened_at is None or is_adopted else round(opened_at - launched.created_at, 3)
        return {
            "duration_s": round(time.monotonic() - launched.created_at, 3),
            "start_s": start_s,
            **launched.follower.measures(),
        }

    def _end_early(self, error: BaseException) -> None:
        """Stop the container, or leave it running, when the step ends first: by a cancel, or by an error in Dagster."""
        runner, settings, log = self._runner, self._request.settings, self._request.context.log
        launched = runner.launched
        if launched is None or isinstance(error, DrayageError) or not runner.was_started():
            return
        cancelled = isinstance(error, dg.DagsterExecutionInterruptedError | KeyboardInterrupt)
        if cancelled and not settings.forward_termination:
            self._left_running = True
            launched.follower.let_go()
            log.info("the step was cancelled; container %s is left running, as configured", launched.state.short_id)
            return
        log.info("%s: %s to container %s", type(error).__name__, settings.stop_signal, launched.state.short_id)
        self._ended_early = True
        self._verdict = Verdict((Reason("exit", f"it was ended early ({type(error).__name__})"),))
        runner.stop(launched)

    def _refuse_another_time(self, start: Start, error: BaseException) -> None:
        """Judge a container whose step fails after its end: adopted again, it would make the step fail again."""
        may_help = isinstance(error, EngineError | dg.DagsterExecutionInterruptedError | KeyboardInterrupt)
        if may_help or not self._has_ended or self._verdict is not None:
            return
        what = " ".join(f"{type(error).__name__} {error}".split())
        self._verdict = Verdict((Reason("exit", f"the step failed after its container had ended ({what})"),))
        try:
            self._runner.record(start.attempt, self._verdict, None, self._measured())
        except (DrayageError, OSError) as problem:
            self._note_leftover(problem)

    def _clean_up(self, start: Start) -> None:
        """Remove what is not kept; a failure to do so is left to the sweeper, and never masks the step's own error."""
        try:
            if self._ended_early and self._verdict is not None:
                self._runner.record(start.attempt, self._verdict, None, self._measured())
            # Without a verdict, it was left running on purpose, or the engine cannot be reached. A retry adopts it.
            if self._left_running or (self._verdict is None and (start.adopted or self._runner.was_started())):
                return
        except (DrayageError, OSError) as error:
            self._note_leftover(error)
            return
        try:
            self._runner.scrub(start.attempt)
        except (DrayageError, OSError) as error:
            # A full disk must not keep the container as well.
            self._request.context.log.warning(
                "secrets may be left in the messages of %s: %s", start.attempt.path, error
            )
        if not self._is_kept():
            # In the background, and only when the step has its results: the thread would take the interpreter from it.
            # The process ends only after this thread.
            removal = Timer(_REMOVAL_DELAY_S, self._remove, (start,))
            removal.name = "drayage-removal"
            removal.start()

    def _is_kept(self) -> bool:
        """Return whether to keep the container for inspection: not after a cancel, which is not a failure."""
        keep = self._request.settings.keep
        judged_red = self._verdict is not None and not self._verdict.green and not self._ended_early
        return keep == "always" or (keep == "on_failure" and judged_red)

    def _remove(self, start: Start) -> None:
        engine = self._host.engine
        try:
            if start.adopted is not None:
                engine.remove(start.adopted.state.id)
            else:
                # By label, not by id: an interrupt may have come before the engine returned the id.
                remove_owned(engine, self._request.identity.labels())
        except DrayageError as error:
            self._note_leftover(error)

    def _note_leftover(self, error: Exception) -> None:
        self._request.context.log.warning("clean-up is left to the sweeper: %s", error)
