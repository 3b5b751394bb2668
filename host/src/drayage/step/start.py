"""Chooses how a step starts: with a container that an interrupted run left, with one on standby, or with a new one."""

import contextlib
import functools
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from drayage.engine import Engine, Mailbox
from drayage.errors import ExchangeError
from drayage.exchange.directory import Attempt, Exchange
from drayage.exchange.owner_lock import OwnerLock, lock_attempt
from drayage.identity import EXCHANGE, own_labels
from drayage.request import StepRequest
from drayage.step.adoption import Adopted, find_adoptable
from drayage.step.launch import Created, Launched, Launcher
from drayage.step.lineage import record_attempt
from drayage.step.output import OutputLogs
from drayage.step.standby import BOOTSTRAP, Standby, StandbyPool


@dataclass(frozen=True)
class StepHost:
    """The objects that all steps of a client share.

    Args:
        engine: The engine that runs their containers.
        exchange: The root of their exchange directories.
        standby_pool: The containers that were started ahead.
        command_line: The ``drayage`` command for this deployment, as it is shown to people.
    """

    engine: Engine
    exchange: Exchange
    standby_pool: StandbyPool
    command_line: str


@dataclass(frozen=True)
class Start:
    """The exchange directory of a step, and its container if there is one already.

    Args:
        request: What the step asks for.
        image_id: Content address of its image.
        fingerprint: Fingerprint of the request, for a retry that may adopt the container.
        attempt: The exchange directory.
        mailbox: The container's mailbox.
        adopted: The container that an interrupted run left, if it is adopted.
        lock: The lock on the attempt, which this process holds while it follows the container.
        standby: The container that was started ahead, if it is used.
        chosen_at: Time of the choice on the monotonic clock, in seconds: before the context that a standby waits for.
    """

    request: StepRequest
    image_id: str
    fingerprint: str
    attempt: Attempt
    mailbox: Mailbox
    lock: OwnerLock
    adopted: Adopted | None = None
    standby: Standby | None = None
    chosen_at: float = field(default_factory=time.monotonic)

    @contextlib.contextmanager
    def creating(self, launcher: Launcher) -> Iterator[Future[Created] | None]:
        """Let the engine create the container while the host opens Pipes and records the launch.

        The container is started after both. A host that is killed before leaves no container, or one that was never
        started, which a retry removes; killed from then on, it leaves one that its records name, which a retry adopts.

        Args:
            launcher: The launcher for the request.

        Yields:
            The container to come; None if there is one already, or Pipes must be opened to know its environment.
        """
        request = self.request
        if self.adopted or self.standby or request.context_injector or request.message_reader:
            yield None
            return
        self.mailbox.reserve_context()
        # The end of the block waits for the engine's answer: whatever ends it, no container is made afterwards.
        with ThreadPoolExecutor(1, "drayage-creation") as beside:
            yield beside.submit(
                launcher.create, self.attempt, self.mailbox, bootstrap=BOOTSTRAP, image_id=self.image_id
            )

    def launch(
        self, launcher: Launcher, logs: OutputLogs, bootstrap: Mapping[str, str], creating: Future[Created] | None
    ) -> Launched:
        """Adopt, activate or start the container; its context must have been written.

        Args:
            launcher: The launcher for the request.
            logs: Where the container's output goes.
            bootstrap: Pipes' own environment variables.
            creating: What :meth:`creating` yielded.

        Returns:
            The container, being followed.

        Raises:
            DrayageError: The engine refuses, or does not answer.
        """
        if not self.standby:
            record_attempt(self.request.context, self.attempt, call=self.request.identity.call)
        if self.adopted:
            return launcher.adopt(self.adopted, logs)
        log = self.request.context.log
        if self.standby:
            launched = launcher.activate(self.standby.state, self.standby.output, logs, begun_at=self.chosen_at)
            state, ahead_s = launched.state, launched.started_at - self.standby.started_at
            log.info("container %s (%s) was started %.1f s ahead", state.short_id, state.name, ahead_s)
            return launched
        if creating is None:
            created = launcher.create(self.attempt, self.mailbox, bootstrap=bootstrap, image_id=self.image_id)
        else:
            created = creating.result()
        launched = launcher.launch(created, self.attempt, logs, bootstrap=bootstrap, fingerprint=self.fingerprint)
        state = launched.state
        log.info("container %s (%s) of %s was started", state.short_id, state.name, self.request.image)
        return launched


def choose_start(request: StepRequest, image_id: str, host: StepHost) -> Start:
    """Find a container that does what a step asks for, or create the exchange directory for a new one.

    Args:
        request: What the step asks for.
        image_id: Content address of its image.
        host: The objects that all steps share.

    Returns:
        The exchange directory, and the container if there is one already.

    Raises:
        DrayageError: The engine or the exchange root fails.
    """
    fingerprint, pool = request.fingerprint(image_id), host.standby_pool
    start = functools.partial(Start, request, image_id, fingerprint)
    standby = pool.find(request, image_id)
    standby_id = standby.state.id if standby else None
    adopted = find_adoptable(
        request, engine=host.engine, exchange=host.exchange, fingerprint=fingerprint, standby_id=standby_id
    )
    if adopted:
        attempt, lock = adopted.attempt, adopted.lock
    else:
        attempt = standby.attempt if standby else host.exchange.create(request.identity.directory)
        lock = _lock_own(attempt)
    with contextlib.ExitStack() as on_error:
        on_error.callback(lock.release)
        if adopted:
            if standby:
                pool.discard_found(standby)
            chosen = start(
                attempt, _mailbox(host.engine, attempt, request, adopted.state.labels), lock, adopted=adopted
            )
        elif standby:
            pool.take(standby, request, fingerprint)
            # It works as soon as it has its context.
            record_attempt(request.context, attempt, call=request.identity.call)
            chosen = start(attempt, standby.mailbox, lock, standby=standby)
        else:
            labels = {**request.identity.labels(), EXCHANGE: attempt.name}
            chosen = start(attempt, _mailbox(host.engine, attempt, request, labels), lock)
        on_error.pop_all()
    return chosen


def _mailbox(engine: Engine, attempt: Attempt, request: StepRequest, labels: Mapping[str, str]) -> Mailbox:
    # An adapter reports for a program that does not use Pipes: what that program says is in its output alone.
    return engine.mailbox(attempt.io, labels=own_labels(labels), receives=request.adapter is None)


def _lock_own(attempt: Attempt) -> OwnerLock:
    """Lock an attempt that this process has made, before its container works.

    Raises:
        ExchangeError: Something else has taken the lock, or removed the directory.
    """
    lock = lock_attempt(attempt)
    if lock is None:
        raise ExchangeError(
            f"{attempt.path} was just made for this step, and another process has taken or removed it. Let no other "
            "program touch the exchange root, and run the step again."
        )
    return lock
