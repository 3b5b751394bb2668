"""Starts a container for a step, or takes over the one that an interrupted run left behind."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drayage.engine import ContainerSpec, ContainerState, Engine, Mount, Output
from drayage.errors import EngineError, ImageChangedError
from drayage.exchange.context_pipe import ContextPipe
from drayage.exchange.directory import WORKLOAD_IO, Attempt
from drayage.exchange.record import record_container
from drayage.identity import EXCHANGE, FORWARD, KEEP, KEEP_S, SECRETS
from drayage.request import ContainerRequest, StepRequest
from drayage.secrets import SECRETS_DIRECTORY
from drayage.step.follower import Follower
from drayage.step.output import OutputLogs

if TYPE_CHECKING:
    # They ask Dagster; the command line launches without Dagster, whose import takes seconds.
    from drayage.step.adoption import Adopted

_SECRETS_OVERHEAD_BYTES = 2**20


def find_image(request: StepRequest, engine: Engine) -> str:
    """Find the image of a step, and make sure that it is the one that the step was defined for.

    Args:
        request: What was asked for.
        engine: Where containers run.

    Returns:
        The image's id.

    Raises:
        EngineError: The engine does not answer, or has no such image.
        ImageChangedError: The name stands for another image than when the definitions were loaded.
    """
    image_id = engine.image_id(request.image, pull=request.settings.pull)
    if request.image_id not in (None, image_id):
        raise ImageChangedError(
            f"The image {request.image} is {image_id} now, and was {request.image_id} when this step's "
            "definitions were loaded from it: it was built or pulled again since. Nothing was started. Reload the "
            "code location (Deployment, then Reload, in the UI), then launch the run anew."
        )
    return image_id


@dataclass(frozen=True)
class Launched:
    """A container that is being followed.

    Args:
        state: The container as it was when following began.
        follower: Follows it.
        created_at: When it was created, on the monotonic clock, in seconds.
        started_at: When it was started, on the monotonic clock, in seconds.
    """

    state: ContainerState
    follower: Follower
    created_at: float
    started_at: float


class Launcher:
    """Launches the container of one request.

    Args:
        request: What was asked for.
        engine: Where containers run.
        on_leftover: Called with the error when something could not be removed, which is then left to the sweeper.
        on_change: Called when something happens to the container.
        on_created: Called with its id as soon as it exists.
        on_launched: Called just before it is started, so that no running container is ever unknown.
    """

    def __init__(
        self,
        request: ContainerRequest,
        engine: Engine,
        *,
        on_leftover: Callable[[EngineError], None],
        on_change: Callable[[], None] = lambda: None,
        on_created: Callable[[str], None] = lambda _container_id: None,
        on_launched: Callable[["Launched"], None] = lambda _launched: None,
    ) -> None:
        self._request = request
        self._engine = engine
        self._on_leftover = on_leftover
        self._on_change = on_change
        self._on_created = on_created
        self._on_launched = on_launched

    def launch(self, attempt: Attempt, logs: OutputLogs, *, bootstrap: Mapping[str, str], fingerprint: str) -> Launched:
        """Create a container and start it.

        Args:
            attempt: Its exchange directory.
            logs: Takes its output.
            bootstrap: Pipes' own environment variables.
            fingerprint: Of what the step asks for, for a retry that may adopt it.
        """
        created_at, created_at_s = time.monotonic(), time.time()
        state, volume = self.create(attempt, bootstrap=bootstrap)
        record_container(attempt, self._request, bootstrap, state, fingerprint=fingerprint, created_at_s=created_at_s)
        follower = self._follower(state.id, logs, self._engine.output(state.id, from_start=False))
        launched = Launched(state, follower, created_at, started_at=time.monotonic())
        self._on_launched(launched)
        self.start(state.id, volume)
        follower.start()
        return launched

    def create(self, attempt: Attempt, *, bootstrap: Mapping[str, str]) -> tuple[ContainerState, str | None]:
        """Create a container without starting it.

        Args:
            attempt: Its exchange directory.
            bootstrap: Pipes' own environment variables.

        Returns:
            The container, and the name of its secrets' volume if it has one.
        """
        volume = self._make_secrets_volume()
        state = self._engine.create(spec_of(self._request, self._engine, attempt, bootstrap))
        self._on_created(state.id)
        return state, volume

    def start(self, container_id: str, volume: str | None) -> None:
        """Start a created container, its secrets in place.

        Args:
            container_id: Which one.
            volume: Its secrets' volume; None if it has none.
        """
        if volume is None:
            self._engine.start(container_id)
            return
        hold = self._engine.fill_memory_volume(
            volume, files=self._request.secrets, probe_id=container_id, target=SECRETS_DIRECTORY
        )
        try:
            self._engine.start(container_id)
        finally:
            try:
                hold.release()
            except EngineError as error:
                # The container runs, or its own error is on the way: neither must end here.
                self._on_leftover(error)

    def activate(self, state: ContainerState, output: Output, context: ContextPipe, logs: OutputLogs) -> Launched:
        """Deliver the context, which is written, to a container that stands by, and follow it.

        Args:
            state: The container.
            output: Its output, attached before it was started.
            context: Where it waits for its context.
            logs: Takes its output, that of the time before included.
        """
        begun_at = time.monotonic()
        self._on_created(state.id)
        follower = self._follower(state.id, logs, output)
        launched = Launched(state, follower, created_at=begun_at, started_at=begun_at)
        self._on_launched(launched)
        context.deliver()
        follower.start()
        return launched

    def adopt(self, adopted: "Adopted", logs: OutputLogs, context: ContextPipe) -> Launched:
        """Follow a container that another run started.

        Args:
            adopted: The container.
            logs: Takes its output, from its start.
            context: Its context: that run may have ended before it gave it.
        """
        self._on_created(adopted.state.id)
        to_monotonic_s = time.monotonic() - time.time()
        # Limits of time count from its own start, also while nobody followed it; one that has ended can reach none.
        # Where it stood by before its step began, they count from there.
        running_since_s = max(adopted.state.started_at_s, adopted.created_at_s)
        started_at_s = time.time() if adopted.state.ended else running_since_s
        follower = self._follower(adopted.state.id, logs, self._engine.output(adopted.state.id, from_start=True))
        launched = Launched(
            adopted.state,
            follower,
            created_at=adopted.created_at_s + to_monotonic_s,
            started_at=started_at_s + to_monotonic_s,
        )
        self._on_launched(launched)
        context.deliver()
        follower.start()
        return launched

    def _follower(self, container_id: str, logs: OutputLogs, output: Output) -> Follower:
        return Follower(self._engine, container_id, logs=logs, output=output, on_change=self._on_change)

    def _make_secrets_volume(self) -> str | None:
        name, secrets = _secrets_volume(self._request), self._request.secrets
        if name is not None:
            size_bytes = 2 * sum(map(len, secrets.values())) + _SECRETS_OVERHEAD_BYTES
            labels = {**self._request.identity.labels(), SECRETS: name}
            self._engine.create_memory_volume(name, size_bytes=size_bytes, labels=labels)
        return name


def spec_of(request: ContainerRequest, engine: Engine, attempt: Attempt, bootstrap: Mapping[str, str]) -> ContainerSpec:
    """Put a request in the engine's terms.

    Args:
        request: What is asked for.
        engine: Where the container will run.
        attempt: Its exchange directory.
        bootstrap: Pipes' own environment variables.
    """
    settings, volume = request.settings, _secrets_volume(request)
    mounts = [Mount(engine.host_path(attempt.io), WORKLOAD_IO, read_only=False), *settings.mounts]
    labels = {
        **settings.labels,
        **request.identity.labels(),
        EXCHANGE: attempt.name,
        KEEP: settings.keep,
        KEEP_S: f"{settings.keep_s:g}",
        FORWARD: str(settings.forward_termination).lower(),
    }
    if volume is not None:
        mounts.append(Mount(volume, SECRETS_DIRECTORY, kind="volume"))
        labels[SECRETS] = volume
    return ContainerSpec(
        image=request.image,
        command=request.command,
        environment={**bootstrap, **request.environment},
        labels=labels,
        mounts=mounts,
        networks=settings.networks,
        memory_bytes=settings.memory,
        shm_bytes=settings.shm,
        cpus=settings.cpus,
        user=settings.user,
        name=request.identity.container_name(settings.name),
        init=settings.init,
        read_only_root=settings.read_only_root,
        no_new_privileges=settings.no_new_privileges,
        cap_drop=settings.cap_drop,
        container_kwargs=request.container_kwargs,
    )


def _secrets_volume(request: ContainerRequest) -> str | None:
    return f"{request.identity.container_name(request.settings.name)}-secrets" if request.secrets else None
