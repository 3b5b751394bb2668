"""The one seam to a container engine: what the client asks of it, and nothing more.

Exchange, judgement and promises know nothing of Docker; a second engine (Kubernetes, Podman) implements
:class:`Engine` and takes its place behind the same client.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from drayage.errors import EngineError, VolumeInUseError
from drayage.identity import SECRETS

Stream = Literal["stdout", "stderr"]


@dataclass(frozen=True)
class Mount:
    """A directory or volume that a container sees.

    Args:
        source: Path or volume name, as the engine knows it.
        target: Absolute path inside the container.
        read_only: Whether the container may write there.
        kind: Bind mount, named volume, or memory-backed file system (``source`` is then unused).
        size_bytes: Upper limit of a tmpfs; 0 leaves it to the engine.
    """

    source: str
    target: str
    read_only: bool = True
    kind: Literal["bind", "volume", "tmpfs"] = "bind"
    size_bytes: int = 0


@dataclass(frozen=True)
class ContainerSpec:
    """All that is needed to create one container.

    Args:
        image: Name or id of the image.
        command: Overrides the image's command; None keeps it.
        environment: Environment variables.
        labels: Identity and keep policy; the sweeper and adoption read them back.
        mounts: What the container sees of the outside.
        networks: Networks to join; the first one at creation.
        memory_bytes: Memory limit (swap included); None is unlimited.
        shm_bytes: Size of ``/dev/shm``; None leaves it to the engine.
        cpus: Number of CPUs, fractions allowed; None is unlimited.
        user: ``uid[:gid]`` or a name known to the image; None keeps the image's.
        name: Name of the container, for people only.
        init: Whether a tiny init is process 1, so that signals arrive and zombies are reaped.
        read_only_root: Whether the root file system is read-only.
        no_new_privileges: Whether set-uid programs lose their effect.
        cap_drop: Capabilities to drop; ``("ALL",)`` drops every one.
        container_kwargs: The engine's own keyword arguments; they win over everything above.
    """

    image: str
    command: str | Sequence[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    networks: Sequence[str] = ()
    memory_bytes: int | None = None
    shm_bytes: int | None = None
    cpus: float | None = None
    user: str | None = None
    name: str | None = None
    init: bool = True
    read_only_root: bool = False
    no_new_privileges: bool = False
    cap_drop: Sequence[str] = ()
    container_kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ContainerState:
    """A container as the engine describes it at one moment.

    Args:
        id: Full id.
        name: Name without a leading slash.
        image: Name of the image as it was asked for.
        image_id: Content address of the image.
        status: ``created``, ``running``, ``paused``, ``restarting``, ``exited``, ``dead`` or ``removing``.
        exit_code: Exit code once it has ended; 128 + n after signal n.
        oom_killed: Whether the kernel killed a process of it for lack of memory.
        error: The engine's own error on starting it, or empty.
        memory_limit_bytes: Memory limit; 0 is unlimited.
        started_at_s: Start as seconds since the epoch; 0 if never started.
        finished_at_s: End as seconds since the epoch; 0 if not ended.
        labels: Labels of the container.
    """

    id: str
    name: str
    image: str
    image_id: str
    status: str
    exit_code: int
    oom_killed: bool
    error: str
    memory_limit_bytes: int
    started_at_s: float
    finished_at_s: float
    labels: Mapping[str, str]

    @property
    def ended(self) -> bool:
        """Whether it ran and will not run on by itself."""
        return self.status in {"exited", "dead", "removing"}

    @property
    def short_id(self) -> str:
        """First twelve characters of the id, as the engine's own tools show it."""
        return self.id[:12]


@dataclass(frozen=True)
class Usage:
    """What a container used up to one moment.

    Args:
        memory_bytes: Memory in use now, without inactive page cache.
        cpu_s: CPU time since its start, in seconds.
    """

    memory_bytes: int
    cpu_s: float


class Output(Protocol):
    """A live stream of a container's standard output and error."""

    def __iter__(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield chunks as they come, cut anywhere."""

    def close(self) -> None:
        """End the stream from another thread."""


class Engine(Protocol):
    """What the client asks of a container engine.

    Every method raises :class:`drayage.errors.EngineError` or one of its kinds.
    """

    def image_id(self, image: str, *, pull: Literal["missing", "always", "never"]) -> str:
        """Tell the content address of an image, pulling it first where the policy says so."""

    def login(self, *, url: str, username: str, password: str) -> None:
        """Log in to an image registry."""

    def create(self, spec: ContainerSpec) -> ContainerState:
        """Create a container, and describe it."""

    def start(self, container_id: str) -> None:
        """Start a created container."""

    def output(self, container_id: str, *, from_start: bool) -> Output:
        """Follow its output: live from now on, or replayed from its start and then live."""

    def wait(self, container_id: str) -> None:
        """Block until it has ended."""

    def state(self, container_id: str) -> ContainerState:
        """Describe it."""

    def usage(self, container_id: str) -> Usage | None:
        """Measure it; None if it is not running."""

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal; no error if it has ended."""

    def remove(self, container_id: str) -> None:
        """Remove it, running or not; no error if it is gone."""

    def find(self, labels: Mapping[str, str]) -> Sequence[ContainerState]:
        """List the containers, running or not, that carry all these labels (an empty value matches any)."""

    def create_memory_volume(self, name: str, *, size_bytes: int, labels: Mapping[str, str]) -> None:
        """Create a named volume on memory-backed storage."""

    def fill_memory_volume(
        self, name: str, *, files: Mapping[str, bytes], probe_id: str, target: str
    ) -> "MemoryVolumeHold":
        """Write files into it, and hold them there until a container that mounts it has been started."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume; no error if it is gone."""

    def find_volumes(self, labels: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """List the volumes that carry all these labels: their names, with all their labels."""

    def read_file(self, image: str, path: str) -> bytes:
        """Read one file out of an image without running it."""

    def host_path(self, path: Path) -> str:
        """Tell the engine's own path of a directory of this process."""


class MemoryVolumeHold(Protocol):
    """Keeps a memory-backed volume mounted between writing it and starting the container."""

    def release(self) -> None:
        """Let go; the volume lives on as long as a running container mounts it."""


def remove_owned(engine: Engine, labels: Mapping[str, str]) -> None:
    """Remove all containers and volumes that carry some labels.

    Args:
        engine: Where they are.
        labels: The labels.

    Raises:
        EngineError: The engine refuses, or does not answer.
    """
    for state in engine.find(labels):
        engine.remove(state.id)
    for volume in engine.find_volumes(labels):
        engine.remove_volume(volume)


def remove_container(engine: Engine, state_labels: Mapping[str, str], container_id: str) -> None:
    """Remove a container and its secrets' volume.

    Args:
        engine: Where it is.
        state_labels: The container's labels.
        container_id: Which one.

    Raises:
        EngineError: The engine refuses, or does not answer.
    """
    errors = []
    for remove, name in ((engine.remove, container_id), (engine.remove_volume, state_labels.get(SECRETS))):
        try:
            if name:
                remove(name)
        except VolumeInUseError:
            # A host that was killed while it handed secrets over leaves two containers of one volume: the step's, and
            # the one that fills it. Whoever removes the other one takes the volume along.
            continue
        except EngineError as error:
            errors.append(error)
    if errors:
        raise errors[0]
