"""Defines the interface to a container engine: what the client needs from it, and nothing more.

Exchange, verdict and promises do not depend on Docker: another engine (Kubernetes, Podman) implements :class:`Engine`
and works behind the same client.
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
    """A directory or volume that is mounted into a container.

    Args:
        source: Path or volume name, as the engine knows it.
        target: Absolute path inside the container.
        read_only: Whether the container may only read it.
        kind: Bind mount, named volume, or memory-backed file system (``source`` is then unused).
        size_bytes: Maximum size of a tmpfs, in bytes; 0 leaves it to the engine.
    """

    source: str
    target: str
    read_only: bool = True
    kind: Literal["bind", "volume", "tmpfs"] = "bind"
    size_bytes: int = 0


@dataclass(frozen=True)
class ContainerSpec:
    """Everything that is needed to create one container.

    Args:
        image: Name or id of the image.
        command: Replaces the image's command; None keeps it.
        environment: Environment variables; None takes a variable of the image away.
        labels: Identity and keep policy; the sweeper and adoption read them back.
        mounts: Directories and volumes to mount.
        networks: Networks to join; the first one at creation.
        memory_bytes: Memory limit in bytes, swap included; None is unlimited.
        shm_bytes: Size of ``/dev/shm`` in bytes; None leaves it to the engine.
        cpus: Number of CPUs, fractions allowed; None is unlimited.
        user: ``uid[:gid]``, or a name that the image knows; None keeps the image's user.
        name: Name of the container, for people only.
        init: Whether a minimal init runs as process 1, to forward signals and reap zombies.
        read_only_root: Whether the root file system is read-only.
        no_new_privileges: Whether set-uid programs lose their effect.
        cap_drop: Capabilities to drop; ``("ALL",)`` drops all of them.
        container_kwargs: The engine's own keyword arguments; they override everything above.
    """

    image: str
    command: str | Sequence[str] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
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
        image: Name of the image, as the step asked for it.
        image_id: Content address of the image.
        status: ``created``, ``running``, ``paused``, ``restarting``, ``exited``, ``dead`` or ``removing``.
        exit_code: Exit code once it has ended; 128 + n after signal n.
        oom_killed: Whether the kernel killed one of its processes for lack of memory.
        error: The engine's own error from starting it; empty if none.
        memory_limit_bytes: Memory limit in bytes; 0 is unlimited.
        started_at_s: Start time, in seconds since the epoch; 0 if never started.
        finished_at_s: End time, in seconds since the epoch; 0 if not ended.
        labels: Labels of the container.
        restarts: How often the engine itself started the container again after it had ended.
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
    restarts: int = 0

    @property
    def ended(self) -> bool:
        """Whether it has run and will not resume by itself."""
        return self.status in {"exited", "dead", "removing"}

    @property
    def short_id(self) -> str:
        """The first twelve characters of the id, as the engine's own tools show it."""
        return self.id[:12]


@dataclass(frozen=True)
class Usage:
    """A container's resource usage at one moment.

    Args:
        memory_bytes: Memory in use now, without inactive page cache, in bytes.
        cpu_s: CPU time since its start, in seconds.
    """

    memory_bytes: int
    cpu_s: float


class Output(Protocol):
    """A live stream of a container's standard output and error."""

    def __iter__(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield chunks as they arrive, split at arbitrary points."""

    def close(self) -> None:
        """End the stream; may be called from another thread."""


class Engine(Protocol):
    """The operations that the client needs from a container engine.

    Every method raises :class:`drayage.errors.EngineError`, or one of its subclasses, if the engine refuses or fails.
    """

    def image_id(self, image: str, *, pull: Literal["missing", "always", "never"]) -> str:
        """Return the content address of an image, pulling it first if the policy says so."""

    def login(self, *, url: str, username: str, password: str) -> None:
        """Log in to an image registry."""

    def create(self, spec: ContainerSpec) -> ContainerState:
        """Create a container, and return its state.

        Raises:
            SettingsError: The engine cannot make a container of this specification, whose author must correct it.
        """

    def start(self, container_id: str) -> None:
        """Start a created container."""

    def output(self, container_id: str, *, from_start: bool) -> Output:
        """Follow a container's output: live from now on, or replayed from its start and then live."""

    def wait(self, container_id: str) -> None:
        """Block until a container has ended."""

    def state(self, container_id: str) -> ContainerState:
        """Return a container's current state."""

    def usage(self, container_id: str) -> Usage | None:
        """Return a container's resource usage, or None if it is not running."""

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal to a container; do nothing if it has ended."""

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not; do nothing if it is gone."""

    def find(self, labels: Mapping[str, str]) -> Sequence[ContainerState]:
        """Return the containers, running or not, that carry all these labels; an empty value matches any value."""

    def create_memory_volume(self, name: str, *, size_bytes: int, labels: Mapping[str, str]) -> None:
        """Create a named volume on memory-backed storage."""

    def fill_memory_volume(
        self, name: str, *, files: Mapping[str, bytes], probe_id: str, target: str
    ) -> "MemoryVolumeHold":
        """Write files into a memory-backed volume, and keep them there until a container that mounts it has started.

        Args:
            name: Name of the volume.
            files: Contents by file name.
            probe_id: A created container that mounts the volume, used to check that the files are complete.
            target: Where that container mounts the volume.

        Returns:
            The hold on the volume; release it once the step's container has started.
        """

    def remove_volume(self, name: str) -> None:
        """Remove a volume; do nothing if it is gone."""

    def find_volumes(self, labels: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return the volumes that carry all these labels, as a mapping from name to all labels of the volume."""

    def read_file(self, image: str, path: str) -> bytes:
        """Read one file out of an image without running it."""

    def host_path(self, path: Path) -> str:
        """Return the engine's own path for a directory of this process."""


class MemoryVolumeHold(Protocol):
    """Keeps a memory-backed volume mounted from when it is filled until the container has started."""

    def release(self) -> None:
        """Let go of the volume; it keeps its content as long as a running container mounts it."""


def remove_owned(engine: Engine, labels: Mapping[str, str]) -> None:
    """Remove all containers and volumes that carry these labels.

    Args:
        engine: The engine that they are on.
        labels: Labels as in :meth:`Engine.find`.

    Raises:
        EngineError: The engine refuses, or does not answer.
    """
    for state in engine.find(labels):
        engine.remove(state.id)
    for volume in engine.find_volumes(labels):
        engine.remove_volume(volume)


def remove_container(engine: Engine, state_labels: Mapping[str, str], container_id: str) -> None:
    """Remove a container and the volume that holds its secrets.

    Args:
        engine: The engine that the container is on.
        state_labels: The container's labels.
        container_id: The container's id.

    Raises:
        EngineError: The engine refuses, or does not answer.
    """
    errors = []
    for remove, name in ((engine.remove, container_id), (engine.remove_volume, state_labels.get(SECRETS))):
        try:
            if name:
                remove(name)
        except VolumeInUseError:
            # A host that is killed while it hands over secrets leaves two containers that share one volume: the step's,
            # and the one that fills it. Removing the second of them removes the volume too.
            continue
        except EngineError as error:
            errors.append(error)
    if errors:
        raise errors[0]
