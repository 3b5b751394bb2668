"""Starts a step's container, activates the one on standby, or adopts the one that an interrupted run left behind."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from drayage.engine import START, ContainerSpec, ContainerState, Engine, Mailbox, Output
from drayage.errors import ImageChangedError
from drayage.exchange.directory import Attempt
from drayage.exchange.record import record_container
from drayage.identity import EXCHANGE, FORWARD, IMAGE, KEEP, KEEP_S
from drayage.request import ContainerRequest, StepRequest
from drayage.step.follower import Follower
from drayage.step.output import OutputLogs

if TYPE_CHECKING:
    # Adoption imports Dagster, which takes seconds; the command line launches containers without it.
    from drayage.step.adoption import Adopted

# A retry reads what an interrupted run did not, even of a step that keeps little.
_LEAST_LOG_BYTES = 64 * 2**20


def find_image(request: StepRequest, engine: Engine) -> str:
    """Find the image of a step, and check that it is the one that the step was defined for.

    Args:
        request: What the step asks for.
        engine: The engine that runs the containers.

    Returns:
        Content address of the image.

    Raises:
        EngineError: The engine does not answer, or has no such image.
        ImageChangedError: The name now refers to another image than when the definitions were loaded.
    """
    image_id = engine.resolve(request.image, pull=request.settings.pull)
    if request.image_id not in (None, image_id):
        raise ImageChangedError(
            f"Image {request.image} is now {image_id}, and was {request.image_id} when this step's definitions were "
            "loaded from it: it has been rebuilt or pulled again since. Nothing was started. Reload the code location "
            "(Deployment, then Reload, in the UI), then launch the run again."
        )
    return image_id


@dataclass(frozen=True)
class Created:
    """A container that has not been started.

    Args:
        state: Its state.
        at: Time at which the engine was asked for it, on the monotonic clock, in seconds.
        at_s: The same time, in seconds since the epoch.
    """

    state: ContainerState
    at: float
    at_s: float


@dataclass(frozen=True)
class Launched:
    """A container that is being followed.

    Args:
        state: State of the container when following began.
        follower: The threads that follow it.
        created_at: Time of creation on the monotonic clock, in seconds.
        started_at: Time of start on the monotonic clock, in seconds.
    """

    state: ContainerState
    follower: Follower
    created_at: float
    started_at: float


class Launcher:
    """Launches the container of one request.

    Args:
        request: What the container is made of.
        engine: The engine that runs the container.
        on_change: Called when something happens to the container.
        on_created: Called with the container's id as soon as it exists.
        on_launched: Called just before the container is started, so that no container runs unknown to the caller.
    """

    def __init__(
        self,
        request: ContainerRequest,
        engine: Engine,
        *,
        on_change: Callable[[], None] = lambda: None,
        on_created: Callable[[str], None] = lambda _container_id: None,
        on_launched: Callable[["Launched"], None] = lambda _launched: None,
    ) -> None:
        self._request = request
        self._engine = engine
        self._on_change = on_change
        self._on_created = on_created
        self._on_launched = on_launched

    def launch(
        self, created: Created, attempt: Attempt, logs: OutputLogs, *, bootstrap: Mapping[str, str], fingerprint: str
    ) -> Launched:
        """Start a container that was created, and follow it.

        Args:
            created: The container; its mailbox holds its context.
            attempt: Its exchange directory.
            logs: Where its output goes.
            bootstrap: Pipes' own environment variables, with which it was created.
            fingerprint: Fingerprint of what the step asks for, for a retry that may adopt the container.

        Returns:
            The running container.

        Raises:
            EngineError: The engine refuses, or does not answer.
        """
        state = created.state
        record_container(attempt, self._request, bootstrap, state, fingerprint=fingerprint, created_at_s=created.at_s)
        follower = self._follower(state.id, logs, self._engine.follow(state.id))
        launched = Launched(state, follower, created.at, started_at=time.monotonic())
        self._on_launched(launched)
        self._engine.start(state.id)
        follower.start()
        return launched

    def create(
        self, attempt: Attempt, mailbox: Mailbox, *, bootstrap: Mapping[str, str], image_id: str | None = None
    ) -> Created:
        """Create a container without starting it.

        Args:
            attempt: The container's exchange directory.
            mailbox: Its mailbox, in which there is at least a place for its context.
            bootstrap: Pipes' own environment variables.
            image_id: The image that the request's name was found to stand for; None takes the name again.

        Raises:
            EngineError: The engine refuses, or does not answer.
        """
        at, at_s = time.monotonic(), time.time()
        spec = spec_of(self._request, attempt, mailbox, bootstrap)
        # The name may have moved to another image since; its label is what people are shown.
        state = self._engine.create(replace(spec, image=image_id or spec.image))
        self._on_created(state.id)
        return Created(state, at, at_s)

    def activate(self, state: ContainerState, output: Output, logs: OutputLogs, *, begun_at: float) -> Launched:
        """Follow a container on standby, which has its context now.

        Args:
            state: State of the container.
            output: Its output, followed since before it was started.
            logs: Where its output goes, including the output from before the step.
            begun_at: When its step began, in seconds of monotonic time.

        Returns:
            The running container.
        """
        self._on_created(state.id)
        follower = self._follower(state.id, logs, output)
        launched = Launched(state, follower, created_at=begun_at, started_at=begun_at)
        self._on_launched(launched)
        follower.start()
        return launched

    def adopt(self, adopted: "Adopted", logs: OutputLogs) -> Launched:
        """Follow a container that another run started.

        Args:
            adopted: The container.
            logs: Where its output goes, from its start.

        Returns:
            The container, running or ended.

        Raises:
            EngineError: The engine does not answer, or the container is gone.
        """
        self._on_created(adopted.state.id)
        to_monotonic_s = time.monotonic() - time.time()
        # Time limits count from the container's own start, including the time when nothing followed it. A container
        # that was on standby counts from its step's start; one that has ended can no longer reach a limit.
        running_since_s = max(adopted.state.started_at_s, adopted.created_at_s)
        started_at_s = time.time() if adopted.state.ended else running_since_s
        follower = self._follower(adopted.state.id, logs, self._engine.follow(adopted.state.id, START))
        launched = Launched(
            adopted.state,
            follower,
            created_at=adopted.created_at_s + to_monotonic_s,
            started_at=started_at_s + to_monotonic_s,
        )
        self._on_launched(launched)
        follower.start()
        return launched

    def _follower(self, container_id: str, logs: OutputLogs, output: Output) -> Follower:
        return Follower(self._engine, container_id, logs=logs, output=output, on_change=self._on_change)


def spec_of(
    request: ContainerRequest, attempt: Attempt, mailbox: Mailbox, bootstrap: Mapping[str, str]
) -> ContainerSpec:
    """Translate a request into the engine's terms.

    Args:
        request: What the container is made of.
        attempt: The container's exchange directory.
        mailbox: The container's mailbox.
        bootstrap: Pipes' own environment variables.

    Returns:
        The container's specification.
    """
    settings = request.settings
    return ContainerSpec(
        image=request.image,
        command=request.command,
        environment={**bootstrap, **request.environment},
        labels={
            **settings.labels,
            **request.identity.labels(),
            EXCHANGE: attempt.name,
            IMAGE: request.image,
            KEEP: settings.keep,
            KEEP_S: f"{settings.keep_s:g}",
            FORWARD: str(settings.forward_termination).lower(),
        },
        mounts=[*mailbox.spec_part(), *settings.mounts],
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
        log_bytes=max(settings.output_bytes, _LEAST_LOG_BYTES),
        published_ports=request.published_ports,
        secrets=request.secrets,
        options=request.container_kwargs,
    )
