"""Starts the container of the step that comes next while a step works, so that its program is loaded in time.

A step comes next if the end of the one that works makes it ready, and no other that has a container: where a plan
forks, its branches start cold. The container is made like that step's last one, and waits for its context. The step
takes it only if it is exactly what the step asks for; otherwise it is removed, and the step starts its own.
"""

import atexit
import contextlib
import logging
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from threading import TIMEOUT_MAX, Event, Lock

from dagster_pipes import (
    DAGSTER_PIPES_CONTEXT_ENV_VAR,
    DAGSTER_PIPES_MESSAGES_ENV_VAR,
    PipesDefaultContextLoader,
    PipesDefaultMessageWriter,
    encode_param,
)

from drayage.dagster_internals import Context, next_steps
from drayage.engine import ContainerState, Engine, Mailbox, Output, remove_owned
from drayage.errors import DrayageError, ExchangeError
from drayage.exchange.directory import Attempt, Exchange
from drayage.exchange.history import last_record
from drayage.exchange.record import ContainerRecord, record_container
from drayage.identity import EXCHANGE, Identity
from drayage.interrupts import wait
from drayage.mailbox import WORKLOAD_CONTEXT, WORKLOAD_MESSAGES
from drayage.request import ContainerRequest, StepRequest
from drayage.secrets import read_secrets
from drayage.step.launch import Launcher, spec_of

BOOTSTRAP = {
    DAGSTER_PIPES_CONTEXT_ENV_VAR: encode_param({PipesDefaultContextLoader.FILE_PATH_KEY: WORKLOAD_CONTEXT}),
    DAGSTER_PIPES_MESSAGES_ENV_VAR: encode_param({PipesDefaultMessageWriter.FILE_PATH_KEY: WORKLOAD_MESSAGES}),
}
"""Pipes' own environment variables for a container whose context and messages are files of its exchange directory."""

_log = logging.getLogger(__name__)
_by_exchange: "dict[Exchange, StandbyPool]" = {}
_sharing = Lock()


@dataclass(frozen=True)
class Standby:
    """A container that waits for its context.

    Args:
        request: What the container is made of.
        attempt: Its exchange directory.
        state: State of the container when it was created.
        output: Its output, followed since before it was started.
        mailbox: Its mailbox, in which it waits for its context.
        started_at: Time of start on the monotonic clock, in seconds.
    """

    request: ContainerRequest
    attempt: Attempt
    state: ContainerState
    output: Output
    mailbox: Mailbox
    started_at: float


@dataclass(frozen=True)
class _Preparation:
    """What one step has started for those that follow it.

    Args:
        steps: The keys of these steps.
        future: The container, once it stands by; None if there is none, or none any more.
    """

    steps: Sequence[str]
    future: Future[Standby | None]

    @property
    def is_over(self) -> bool:
        """Whether no container stands by, and none will."""
        return self.future.done() and _result(self.future) is None


class StandbyPool:
    """The containers on standby: at most one for each step that works.

    A single background thread starts them while steps work, so that it knows of every one before the next.

    Args:
        engine: The engine that runs the containers.
        exchange: The root of their exchange directories.
    """

    @classmethod
    def shared(cls, engine: Engine, exchange: Exchange) -> "StandbyPool":
        """Return the pool that all clients of this process with the same exchange root share.

        Each step of a run may have its own client, and takes the container that the previous step prepared.

        Args:
            engine: The engine that runs the containers; used if the pool does not exist yet.
            exchange: The root of their exchange directories.
        """
        with _sharing:
            if exchange not in _by_exchange:
                _by_exchange[exchange] = cls(engine, exchange)
            return _by_exchange[exchange]

    def __init__(self, engine: Engine, exchange: Exchange) -> None:
        self._engine = engine
        self._exchange = exchange
        # By run, and by the step that prepared it. Steps of one run may be executed in several threads.
        self._preparations: dict[tuple[str, str], _Preparation] = {}
        self._lock = Lock()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="drayage-standby")
        # An asset's code may fail after its container has ended: then no step takes the next one.
        atexit.register(self._discard_all)

    def prepare(self, context: Context, identity: Identity) -> None:
        """Start the next step's container in the background, unless the executing step has done so.

        Args:
            context: Dagster's context of the executing step.
            identity: Identity of the executing step.
        """
        levels = next_steps(context)
        if not levels:
            return
        key = (identity.run_id, identity.step)
        with self._lock:
            standing = self._preparations.get(key)
            if standing is None or standing.is_over:
                future = self._worker.submit(self._prepare, levels, identity)
                self._preparations[key] = _Preparation([step for level in levels for step in level], future)

    def find(self, request: StepRequest, image_id: str) -> Standby | None:
        """Find the container on standby for a step, if it is what the step asks for.

        It stays on standby until it is taken or discarded. If it could not be started, that is only logged, and the
        step starts its own.

        Args:
            request: What the step asks for.
            image_id: Content address of its image.

        Returns:
            The container; None if there is none that the step can use.

        Raises:
            EngineError: The engine does not answer.
        """
        for standing in self._preparations_for(request.identity):
            # Wait also for one that is being removed: it has the name that the step's own container will get.
            _await(standing.future)
            standby = _result(standing.future)
            if standby is None:
                if error := standing.future.exception():
                    request.context.log.info("no container was on standby: %s", error)
                self._forget(standing)
            elif standby.request.identity == request.identity:
                reason = self._standby_mismatch(standby, request, image_id)
                if reason is None:
                    return standby
                log = request.context.log
                log.warning("container %s, on standby, is not used: %s", standby.state.short_id, reason)
                self._forget(standing)
                self._remove(standby)
        return None

    def take(self, standby: Standby, request: StepRequest, fingerprint: str) -> None:
        """Hand a container over to its step, which removes it in the end.

        Args:
            standby: The container.
            request: What the step asks for.
            fingerprint: Fingerprint of the request, for a retry that may adopt the container.
        """
        # Recorded before it gets its context, so that a retry can adopt every container that works. The step's time
        # counts from here.
        record_container(
            standby.attempt, request, BOOTSTRAP, standby.state, fingerprint=fingerprint, created_at_s=time.time()
        )
        for standing in self._preparations_for(request.identity):
            if standing.future.done() and _result(standing.future) is standby:
                self._forget(standing)

    def discard(self, identity: Identity) -> None:
        """Remove the container that a step has prepared, in the background: the next step may never start.

        Args:
            identity: The step, which has failed.
        """
        self._discard_later((identity.run_id, identity.step))

    def discard_found(self, standby: Standby) -> None:
        """Remove a container that :meth:`find` returned, in the background: its step does without it.

        Args:
            standby: The container.
        """
        for key, standing in self._all():
            if standing.future.done() and _result(standing.future) is standby:
                self._discard_later(key)

    def _all(self) -> list[tuple[tuple[str, str], _Preparation]]:
        with self._lock:
            return list(self._preparations.items())

    def _preparations_for(self, identity: Identity) -> list[_Preparation]:
        return [
            standing
            for (run_id, _), standing in self._all()
            if run_id == identity.run_id and identity.step in standing.steps
        ]

    def _forget(self, forgotten: _Preparation) -> None:
        with self._lock:
            for key, standing in list(self._preparations.items()):
                if standing is forgotten:
                    del self._preparations[key]

    def _discard_later(self, key: tuple[str, str]) -> None:
        with self._lock:
            standing = self._preparations.get(key)
            if standing is not None:
                future = self._worker.submit(self._discard, standing.future)
                self._preparations[key] = _Preparation(standing.steps, future)

    def _discard_all(self) -> None:
        for _, standing in self._all():
            self._discard(standing.future)

    def _discard(self, standing: Future[Standby | None]) -> Standby | None:
        standby = _result(standing)
        if standby is not None:
            self._remove(standby)
        return None

    def _standby_mismatch(self, standby: Standby, request: StepRequest, image_id: str) -> str | None:
        wanted, made = (
            spec_of(asked, standby.attempt, standby.mailbox, BOOTSTRAP) for asked in (request, standby.request)
        )
        changed = [
            it.name for it in fields(wanted) if _plain(getattr(wanted, it.name)) != _plain(getattr(made, it.name))
        ]
        # A cluster's image is its name, which may end with the digest that is its content address.
        if standby.state.image_id != image_id.rpartition("@")[2]:
            changed.append("image_id")
        if standby.request.secrets != request.secrets:
            changed.append("secrets")
        if not request.settings.standby:
            changed.append("standby")
        if changed:
            return f"it was made as in the step's last run, and since then {', '.join(changed)} changed"
        try:
            if standby.mailbox.read(0, timeout_s=0):
                return (
                    "it sent messages before it had its context, so its workload may have done the step's work before "
                    "the step started; remove standby from the step's settings"
                )
            state = self._engine.state(standby.state.id)
        except ExchangeError as error:
            return str(error)
        if state.ended:
            return f"it ended with exit code {state.exit_code} before it had its context"
        return None if state.status == "running" else f"it is {state.status}"

    def _prepare(self, levels: Sequence[Sequence[str]], identity: Identity) -> Standby | None:
        for steps in levels:
            identities = [replace(identity, step=step, attempt=0, call=0) for step in steps]
            records = [(each, record) for each in identities if (record := last_record(self._exchange, each))]
            if len(records) > 1:
                # A fork: each of them would load its program beside the step that works.
                return None
            for next_identity, record in records:
                request = None if self._stands_by(next_identity) else _request_of(record, next_identity)
                return None if request is None else self._start(request)
        return None

    def _stands_by(self, identity: Identity) -> bool:
        """Return whether a step further up has started this container, because those between have none."""
        done = [standing.future for standing in self._preparations_for(identity) if standing.future.done()]
        return any(standby.request.identity == identity for future in done if (standby := _result(future)))

    def _start(self, request: ContainerRequest) -> Standby:
        attempt = self._exchange.create(request.identity.directory)
        labels = {**request.identity.labels(), EXCHANGE: attempt.name}
        mailbox = self._engine.mailbox(attempt.io, labels=labels, waits=True)
        try:
            state = Launcher(request, self._engine).create(attempt, mailbox, bootstrap=BOOTSTRAP).state
            output = self._engine.follow(state.id)
            self._engine.start(state.id)
            return Standby(request, attempt, state, output, mailbox, started_at=time.monotonic())
        except BaseException:
            with contextlib.suppress(DrayageError):
                remove_owned(self._engine, request.identity.labels())
            mailbox.collect()
            _remove_directory(attempt)
            raise

    def _remove(self, standby: Standby) -> None:
        try:
            try:
                self._engine.remove(standby.state.id)
            finally:
                standby.output.close()
                standby.mailbox.collect()
                _remove_directory(standby.attempt)
        except (DrayageError, OSError) as error:
            _log.warning("clean-up is left to the sweeper: %s", error)


def _await(standing: Future[Standby | None]) -> None:
    done = Event()
    standing.add_done_callback(lambda _: done.set())
    wait(done, TIMEOUT_MAX)


def _result(standing: Future[Standby | None]) -> Standby | None:
    """Return the result of a future that is done; None also if it failed."""
    return None if standing.exception() else standing.result()


def _remove_directory(attempt: Attempt) -> None:
    shutil.rmtree(attempt.path, ignore_errors=True)
    with contextlib.suppress(OSError):
        # The parent stays if it holds another attempt of the step.
        attempt.path.parent.rmdir()


def _plain(value: object) -> object:
    """Return a value as it comes back from a record, where tuples other than those of settings are lists."""
    return list(value) if isinstance(value, tuple) else value


def _request_of(record: ContainerRecord, identity: Identity) -> ContainerRequest | None:
    """Return the request for a container like the recorded one; None if the record lacks a part of it."""
    environment = record.known_environment()
    if not record.settings.standby or record.environment.keys() - environment.keys():
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
