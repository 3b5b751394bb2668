"""One step from its exchange directory to its verdict; ``client.py`` hands the request in."""

import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict
from threading import Event, Thread
from typing import Any

import dagster as dg

from drayage.engine import ContainerState, Engine, remove_container, remove_owned
from drayage.errors import DrayageError
from drayage.exchange.directory import Attempt, Exchange
from drayage.interrupts import between_yields, deliver
from drayage.pipes.adapter import open_adapter
from drayage.pipes.custom_messages import CustomMessages
from drayage.pipes.ledger import Ledger
from drayage.pipes.reader import LogMessageReader
from drayage.pipes.session import LedgerReader, choose_reader, open_session
from drayage.request import StepRequest
from drayage.secrets import Redactor, scrub
from drayage.step.adoption import Adopted
from drayage.step.invocation import DrayageInvocation
from drayage.step.launch import Launched, Launcher, find_image
from drayage.step.output import OutputLogs, open_output_logs
from drayage.step.standby import StandbyPool
from drayage.step.start import Start, choose_start
from drayage.step.watch import Watch
from drayage.verdict.failure import debug_commands, error_failure, step_failure
from drayage.verdict.judge import LimitReached, Reason, Verdict, judge
from drayage.verdict.results import (
    AlreadyLogged,
    broken,
    keep_as_observations,
    unreported,
    with_metadata,
    without_recorded,
)


class Execution:
    """One container, followed from its creation to its verdict.

    Args:
        request: What was asked for.
        engine: Where the container runs.
        exchange: Where the exchange directories are.
        command_line: How people call `drayage` for this deployment.
        standby_pool: What stands by for the run's next step.
    """

    def __init__(
        self, request: StepRequest, *, engine: Engine, exchange: Exchange, command_line: str, standby_pool: StandbyPool
    ) -> None:
        self._command_line = command_line
        self._standby_pool = standby_pool
        self._request = request
        self._engine = engine
        self._exchange = exchange
        self._changed = Event()
        self._redactor = Redactor(request.secrets.values())
        self._custom = CustomMessages(request.context, self._measures)
        self._ledger = Ledger(
            on_activity=self._changed.set,
            on_custom=self._custom,
            keep_custom=request.message_reader is not None,
            redact=self._redactor,
        )
        self._adopted: Adopted | None = None
        self._commands: Mapping[str, str] = {}
        self._container_id: str | None = None
        self._launched: Launched | None = None
        self._limit: LimitReached | None = None
        self._verdict: Verdict | None = None
        self._left_running = self._ended_early = False
        self._metadata: dict[str, dg.MetadataValue] = {}
        self.invocation: DrayageInvocation | None = None

    def results(self, *, streaming: bool) -> Iterator[Any]:
        """Run the step; ``invocation`` is set afterwards.

        Args:
            streaming: Whether results are yielded as they come; else none is.

        Raises:
            dagster.Failure: The step is not green.
        """
        try:
            # A pull takes minutes: an interrupt may strike there.
            image_id = find_image(self._request, self._engine)
            yield from between_yields(self._results(image_id, streaming=streaming))
        except DrayageError as error:
            text = self._redactor.text(str(error))
            # Without a container there is nothing to look into, nor to start again.
            commands = self._commands.values() if self._container_id else ()
            raise error_failure(text, error, self._measured_metadata(), commands=commands) from error

    def _results(self, image_id: str, *, streaming: bool) -> Generator[Any, None, None]:
        request = self._request
        beginning = choose_start(
            request, image_id, engine=self._engine, exchange=self._exchange, standby_pool=self._standby_pool
        )
        attempt, self._adopted = beginning.attempt, beginning.adopted
        self._commands = debug_commands(self._command_line, attempt, request.identity.step)
        self._metadata |= {
            "image_id": dg.MetadataValue.text(image_id),
            "exchange_dir": dg.MetadataValue.path(str(attempt.path)),
            "debug_command": dg.MetadataValue.text(self._commands["shell"]),
        }
        try:
            finished = self._adopted is not None and self._adopted.removed
            reader = choose_reader(request.message_reader, attempt)
            intercept = reader.take_line if isinstance(reader, LogMessageReader) else None
            # What a removed container printed was read by the run that judged it: its messages are in the file.
            form = None if finished else request.adapter
            with (
                open_adapter(form, request.promised, messages=attempt.messages, redact=self._redactor) as adapter,
                open_output_logs(
                    attempt.stdout, attempt.stderr, self._redactor, intercept=intercept, adapter=adapter, keep=finished
                ) as logs,
            ):
                self._reader = LedgerReader(reader, self._ledger)
                with open_session(request, attempt, self._reader, adopted=self._adopted is not None) as session:
                    if self._adopted is not None and self._adopted.removed:
                        state = self._adopted.state
                        self._note_container(state.id)
                        self._metadata |= self._adopted.measures
                    else:
                        try:
                            launched = self._launch(beginning, logs, session.get_bootstrap_env_vars())
                            self._standby_pool.prepare(request.context, request.identity)
                            yield from self._follow(launched, logs, streaming=streaming)
                        except BaseException as error:
                            self._end_early(error)
                            raise
                        state = launched.follower.result()
                        logs.end(state.exit_code)
                # The session is closed: the last message is read.
                if streaming:
                    yield from self._reported()
            self._metadata |= self._measures()
            # A cancel that came while the session closed: what was reported is kept as observations.
            deliver()
            self._judge(attempt, state, logs, session)
        except BaseException:
            # The next step may never come.
            self._standby_pool.discard(request.identity.run_id)
            # With the measures also of a step that ended before its judgement, so that their plots have no holes.
            keep_as_observations(request.context, self._ledger.take_results(), self._measured_metadata())
            raise
        finally:
            beginning.context.close()
            self._clean_up(attempt)

    def _launch(self, beginning: Start, logs: OutputLogs, bootstrap: Any) -> Launched:
        launcher = Launcher(
            self._request,
            self._engine,
            on_change=self._changed.set,
            on_created=self._note_container,
            on_launched=self._note_launched,
            on_leftover=self._note_leftover,
        )
        return beginning.launch(launcher, logs, bootstrap)

    def _note_container(self, container_id: str) -> None:
        self._container_id = container_id
        self._metadata["container_id"] = dg.MetadataValue.text(container_id)

    def _note_launched(self, launched: Launched) -> None:
        self._launched = launched

    def _follow(self, launched: Launched, logs: OutputLogs, *, streaming: bool) -> Iterator[Any]:
        """Wait for the container's end, yielding results as they come."""
        watch = Watch(launched, self._request.settings, ledger=self._ledger, logs=logs, changed=self._changed)
        for _ in watch.changes():
            if streaming:
                yield from self._reported()
        self._limit = watch.limit

    def _reported(self) -> Iterator[Any]:
        """Yield what was reported since the last time, if it keeps its promises."""
        recorded = self._adopted.recorded if self._adopted else AlreadyLogged()
        for result in self._ledger.take_results():
            if not broken(self._request, result):
                complete = with_metadata(result, self._measured_metadata())
                yield from without_recorded(self._request.context, [complete], recorded)

    def _judge(self, attempt: Attempt, state: ContainerState, logs: OutputLogs, session: dg.PipesSession) -> None:
        request = self._request
        results = session.get_reported_results()
        breaches = [text for result in results for text in broken(request, result)]
        facts = self._ledger.facts(
            state,
            broken_promises=breaches + unreported(request, results),
            limit=self._limit,
            debug_text=self._reader.no_messages_debug_text(),
        )
        self._verdict = judge(facts)
        self._write_verdict(attempt, self._verdict, state)
        if not self._verdict.green:
            raise step_failure(
                verdict=self._verdict,
                facts=facts,
                state=state,
                last_lines=logs.last_lines(),
                metadata=self._metadata,
                commands=self._commands.values(),
                links=self._custom.links,
            )
        self.invocation = DrayageInvocation(
            session,
            metadata=self._metadata,
            attempt=attempt,
            implicit_materializations=request.implicit_materializations,
            keep_custom=request.message_reader is not None,
            recorded=self._adopted.recorded if self._adopted else AlreadyLogged(),
        )

    def _measured_metadata(self) -> dict[str, dg.MetadataValue]:
        return {**self._metadata, **self._measures()}

    def _measures(self) -> dict[str, dg.MetadataValue]:
        launched = self._launched
        if launched is None:
            return {}
        opened_at = self._ledger.opened_at
        # A retry that adopts a container reads its first message late: when it came is not known any more.
        start_s = None if opened_at is None or self._adopted else round(opened_at - launched.created_at, 3)
        measures = {
            "duration_s": round(time.monotonic() - launched.created_at, 3),
            "start_s": start_s,
            **launched.follower.measures(),
        }
        return {
            name: dg.MetadataValue.null() if measured is None else dg.MetadataValue.float(measured)
            for name, measured in measures.items()
        }

    def _end_early(self, error: BaseException) -> None:
        """The step ends before its container: a cancel, an error in Dagster, or a container that never started."""
        launched, settings, log = self._launched, self._request.settings, self._request.context.log
        if launched is None or isinstance(error, DrayageError):
            return
        if self._engine.state(launched.state.id).status == "created":
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
        launched.follower.stop(settings.stop_signal, settings.stop_grace_s)

    def _is_kept(self) -> bool:
        """Whether people may want to look into the container: not after a cancel, which is no failure of it."""
        keep = self._request.settings.keep
        judged_red = self._verdict is not None and not self._verdict.green and not self._ended_early
        return keep == "always" or (keep == "on_failure" and judged_red)

    def _write_verdict(self, attempt: Attempt, verdict: Verdict, state: ContainerState | None) -> None:
        attempt.write_json(
            "verdict.json",
            {
                "green": verdict.green,
                "judged_at_s": time.time(),
                "reasons": [self._redactor.text(reason.text) for reason in verdict.reasons],
                "state": None if state is None else asdict(state),
                "measures": {name: value.value for name, value in self._measures().items()},
            },
        )

    def _clean_up(self, attempt: Attempt) -> None:
        """Remove what is not kept; a failure to do so is left to the sweeper, and never masks the step's own error."""
        try:
            if self._ended_early and self._verdict is not None:
                self._write_verdict(attempt, self._verdict, None)
            if self._redactor.hits:
                scrub(attempt.messages, self._redactor)
            # Unjudged: left running on purpose, or the engine is out of reach. A retry adopts it.
            if not (self._is_unjudged() or self._left_running or self._is_kept()):
                # Behind the step, which has its results; the process ends only when this has.
                Thread(target=self._remove, name="drayage-removal").start()
        except (DrayageError, OSError) as error:
            self._note_leftover(error)

    def _note_leftover(self, error: Exception) -> None:
        self._request.context.log.warning("clean-up is left to the sweeper: %s", error)

    def _is_unjudged(self) -> bool:
        if self._launched is None or self._verdict is not None:
            return False
        return self._engine.state(self._launched.state.id).status != "created"

    def _remove(self) -> None:
        try:
            if self._adopted is not None:
                remove_container(self._engine, self._adopted.state.labels, self._adopted.state.id)
            else:
                # By label, not by id: an interrupt may have come before the engine's answer with the id.
                remove_owned(self._engine, self._request.identity.labels())
        except DrayageError as error:
            self._note_leftover(error)
