"""How a step begins: with a container that an interrupted run left, with one that stands by, or with its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from drayage.engine import Engine
from drayage.exchange.context_pipe import ContextPipe
from drayage.exchange.directory import Attempt, Exchange
from drayage.request import StepRequest
from drayage.step.adoption import Adopted, find_adoptable
from drayage.step.launch import Launched, Launcher
from drayage.step.output import OutputLogs
from drayage.step.standby import Standby, StandbyPool


@dataclass(frozen=True)
class Start:
    """Where a step finds its exchange directory, and its container if there is one already.

    Args:
        request: What the step asks for.
        fingerprint: Of that, for a retry that may adopt the container.
        attempt: The exchange directory.
        context: The context in it; a container may wait for it.
        adopted: What an interrupted run left behind.
        standby: The container that was started ahead.
    """

    request: StepRequest
    fingerprint: str
    attempt: Attempt
    context: ContextPipe
    adopted: Adopted | None = None
    standby: Standby | None = None

    def launch(self, launcher: Launcher, logs: OutputLogs, bootstrap: Mapping[str, str]) -> Launched:
        """Let the container begin, whose context is written.

        Args:
            launcher: Has what the step asks for.
            logs: Takes its output.
            bootstrap: Pipes' own environment variables.
        """
        if self.adopted:
            return launcher.adopt(self.adopted, logs, self.context)
        log = self.request.context.log
        if self.standby:
            launched = launcher.hand_over(self.standby, logs)
            state, ahead_s = launched.state, launched.started_at - self.standby.started_at
            log.info("container %s (%s) was started %.1f s ahead", state.short_id, state.name, ahead_s)
            return launched
        launched = launcher.launch(self.attempt, logs, bootstrap=bootstrap, fingerprint=self.fingerprint)
        state = launched.state
        log.info("container %s (%s) of %s was started", state.short_id, state.name, self.request.image)
        return launched


def choose_start(
    request: StepRequest, image_id: str, *, engine: Engine, exchange: Exchange, standby_pool: StandbyPool
) -> Start:
    """Look for a container that does what a step asks for, or make the directory for a new one.

    Args:
        request: What the step asks for.
        image_id: Content address of its image.
        engine: Where containers run.
        exchange: Where exchange directories are.
        standby_pool: What was started ahead.

    Raises:
        DrayageError: Engine or exchange root fail.
    """
    fingerprint = request.fingerprint(image_id)
    standby = standby_pool.find(request, image_id)
    standby_id = standby.state.id if standby else None
    adopted = find_adoptable(request, engine=engine, exchange=exchange, fingerprint=fingerprint, standby_id=standby_id)
    if adopted:
        standby_pool.discard(request.identity.run_id)
        return Start(request, fingerprint, adopted.attempt, ContextPipe(adopted.attempt), adopted=adopted)
    if standby:
        standby_pool.take(standby, request, fingerprint)
        return Start(request, fingerprint, standby.attempt, standby.context, standby=standby)
    attempt = exchange.create(request.identity.directory)
    return Start(request, fingerprint, attempt, ContextPipe(attempt))
