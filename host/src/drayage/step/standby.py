"""Starts the container of a run's next step while a step works, so that its programs are loaded when its turn comes.

It is made as that step's last one was, and waits for its context. The step takes it only if it is just what the step
asks for; else it is removed, and the step starts its own.
"""

import atexit
import contextlib
import logging
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from threading import TIMEOUT_MAX, Event

from dagster_pipes import (
    DAGSTER_PIPES_CONTEXT_ENV_VAR,
    DAGSTER_PIPES_MESSAGES_ENV_VAR,
    PipesDefaultContextLoader,
    PipesDefaultMessageWriter,
    encode_param,
)

from drayage.dagster_internals import Context, later_steps
from drayage.engine import ContainerState, Engine, Output, remove_container, remove_owned
from drayage.errors import ContainerGoneError, DrayageError
from drayage.exchange.context_pipe import ContextPipe
from drayage.exchange.directory import WORKLOAD_CONTEXT, WORKLOAD_MESSAGES, Attempt, Exchange
from drayage.exchange.history import last_record
from drayage.exchange.record import ContainerRecord, record_container
from drayage.identity import Identity
from drayage.interrupts import wait
from drayage.request import ContainerRequest, StepRequest
from drayage.secrets import read_secrets
from drayage.step.launch import Launcher, spec_of

BOOTSTRAP = {
    DAGSTER_PIPES_CONTEXT_ENV_VAR: encode_param({PipesDefaultContextLoader.FILE_PATH_KEY: WORKLOAD_CONTEXT}),
    DAGSTER_PIPES_MESSAGES_ENV_VAR: encode_param({PipesDefaultMessageWriter.FILE_PATH_KEY: WORKLOAD_MESSAGES}),
}
"""Pipes' environment variables of a container whose context and messages are files of its exchange directory."""

_log = logging.getLogger(__name__)
_by_exchange: "dict[Exchange, StandbyPool]" = {}


@dataclass(frozen=True)
class Standby:
    """A container that waits for its context.

    Args:
        request: What it is made of.
        attempt: Its exchange directory.
        state: The container as it was created.
        output: Its output, attached before it was started.
        context: Its context, held back.
        started_at: When it was started, on the monotonic clock, in seconds.
    """

    request: ContainerRequest
    attempt: Attempt
    state: ContainerState
    output: Output
    context: ContextPipe
    started_at: float


class StandbyPool:
    """The containers that stand by: one a run, at most.

    Each is made by one thread, behind the steps, which is never in the way of itself.

    Args:
        engine: Where they run.
        exchange: Where their exchange directories are.
    """

    @classmethod
    def shared(cls, engine: Engine, exchange: Exchange) -> "StandbyPool":
        """Those of all clients of this process that have an exchange root in common.

        The steps of a run may have a client each, and what one of them prepared is what the next one takes.

        Args:
            engine: Where they run, if these are the first.
            exchange: Where their exchange directories are.
        """
        if exchange not in _by_exchange:
            _by_exchange[exchange] = cls(engine, exchange)
        return _by_exchange[exchange]

    def __init__(self, engine: Engine, exchange: Exchange) -> None:
        self._engine = engine
        self._exchange = exchange
        self._by_run: dict[str, Future[Standby | None]] = {}
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="drayage-standby")
        # The code of an asset may fail after its container, so that no step comes to take the next one.
        atexit.register(self._discard_all)

    def prepare(self, context: Context, identity: Identity) -> None:
        """Start the next step's container, behind the step that works.

        Args:
            context: Dagster's context of the executing step.
            identity: Whose step that is.
        """
        standing = self._by_run.get(identity.run_id)
        if standing is None or (standing.done() and _result(standing) is None):
            self._by_run[identity.run_id] = self._worker.submit(self._prepare, later_steps(context), identity)

    def find(self, request: StepRequest, image_id: str) -> Standby | None:
        """Look for the container that stands by for a step, if it is what the step asks for.

        It stands by until it is taken, or discarded. What went wrong is only logged: the step starts its own.

        Args:
            request: What the step asks for.
            image_id: Content address of its image.

        Raises:
            EngineError: The engine does not answer.
        """
        standing = self._by_run.get(request.identity.run_id)
        if standing is None:
            return None
        # Also one that is being removed: its name is the step's.
        done = Event()
        standing.add_done_callback(lambda _: done.set())
        wait(done, TIMEOUT_MAX)
        standby = _result(standing)
        if standby is None:
            if error := standing.exception():
                request.context.log.info("no container stood by: %s", error)
            del self._by_run[request.identity.run_id]
            return None
        if standby.request.identity != request.identity:
            return None
        reason = self._standby_mismatch(standby, request, image_id)
        if reason is None:
            return standby
        request.context.log.warning("container %s, which stood by, is not used: %s", standby.state.short_id, reason)
        del self._by_run[request.identity.run_id]
        self._remove(standby)
        return None

    def take(self, standby: Standby, request: StepRequest, fingerprint: str) -> None:
        """Leave a container to its step, which removes it in the end.

        Args:
            standby: The container.
            request: What the step asks for.
            fingerprint: Of that, for a retry that may adopt it.
        """
        # Before it has its context: a container that works is always one that a retry can adopt. Time counts from here.
        record_container(
            standby.attempt, request, BOOTSTRAP, standby.state, fingerprint=fingerprint, created_at_s=time.time()
        )
        del self._by_run[request.identity.run_id]

    def discard(self, run_id: str) -> None:
        """Remove what stands by for a run, behind the step: nobody knows whether the next one will come."""
        standing = self._by_run.get(run_id)
        if standing is not None:
            self._by_run[run_id] = self._worker.submit(self._discard, standing)

    def _discard_all(self) -> None:
        for standing in self._by_run.values():
            self._discard(standing)

    def _discard(self, standing: Future[Standby | None]) -> None:
        standby = _result(standing)
        if standby is not None:
            self._remove(standby)

    def _standby_mismatch(self, standby: Standby, request: StepRequest, image_id: str) -> str | None:
        wanted, made = (
            spec_of(asked, self._engine, standby.attempt, BOOTSTRAP) for asked in (request, standby.request)
        )
        changed = [
            it.name for it in fields(wanted) if _plain(getattr(wanted, it.name)) != _plain(getattr(made, it.name))
        ]
        if standby.state.image_id != image_id:
            changed.append("image_id")
        if standby.request.secrets != request.secrets:
            changed.append("secrets")
        if not request.settings.standby:
            changed.append("standby")
        if changed:
            return f"it was made as in the step's last run, and {', '.join(changed)} changed since"
        try:
            if standby.attempt.messages.stat().st_size > 0:
                return (
                    "it has sent messages before it had its context, so that its workload may have done the step's "
                    "work before the step began; take standby out of the step's settings"
                )
            state = self._engine.state(standby.state.id)
        except (ContainerGoneError, FileNotFoundError):
            return "it is gone"
        if state.ended:
            return f"it has ended, with exit code {state.exit_code}, before it had its context"
        return None if state.status == "running" else f"it is {state.status}"

    def _prepare(self, steps: Sequence[str], identity: Identity) -> Standby | None:
        for step in steps:
            next_identity = replace(identity, step=step, attempt=0, call=0)
            record = last_record(self._exchange, next_identity)
            if record is not None:
                request = _request_of(record, next_identity)
                return None if request is None else self._start(request)
        return None

    def _start(self, request: ContainerRequest) -> Standby:
        attempt = self._exchange.create(request.identity.directory)
        context = ContextPipe(attempt)
        launcher = Launcher(
            request,
            self._engine,
            on_leftover=lambda error: _log.warning("clean-up is left to the sweeper: %s", error),
        )
        try:
            context.open()
            state, volume = launcher.create(attempt, bootstrap=BOOTSTRAP)
            output = self._engine.output(state.id, from_start=False)
            launcher.start(state.id, volume)
            return Standby(request, attempt, state, output, context, started_at=time.monotonic())
        except BaseException:
            with contextlib.suppress(DrayageError):
                remove_owned(self._engine, request.identity.labels())
            _remove_directory(attempt)
            raise

    def _remove(self, standby: Standby) -> None:
        try:
            try:
                remove_container(self._engine, standby.state.labels, standby.state.id)
            finally:
                standby.output.close()
                standby.context.close()
                _remove_directory(standby.attempt)
        except (DrayageError, OSError) as error:
            _log.warning("clean-up is left to the sweeper: %s", error)


def _result(standing: Future[Standby | None]) -> Standby | None:
    """What came of it, which has ended; None also if it failed."""
    return None if standing.exception() else standing.result()


def _remove_directory(attempt: Attempt) -> None:
    shutil.rmtree(attempt.path, ignore_errors=True)
    with contextlib.suppress(OSError):
        # Unless another attempt of the step is in it.
        attempt.path.parent.rmdir()


def _plain(value: object) -> object:
    """As the record gives it back, which knows no tuples but those of settings."""
    return list(value) if isinstance(value, tuple) else value


def _request_of(record: ContainerRecord, identity: Identity) -> ContainerRequest | None:
    """What a container like the recorded one is made of; None if the record does not tell all of it."""
    environment = record.known_environment()
    if not record.settings.standby or environment.keys() != record.environment.keys():
        return None
    return ContainerRequest(
        identity=identity,
        image=record.image,
        settings=record.settings,
        command=record.requested_command,
        environment={name: value for name, value in environment.items() if name not in BOOTSTRAP},
        secrets=read_secrets(record.secrets, record.secrets),
        secret_sources=record.secrets,
    )
