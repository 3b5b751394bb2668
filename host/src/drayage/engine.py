"""Defines the interface to a container engine: what the client needs from it, and nothing more.

Exchange, verdict and promises do not depend on Docker: another engine (Kubernetes, Podman) implements :class:`Engine`
and works behind the same client.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

_DIGEST = re.compile(r"[0-9a-f]{64}")

Stream = Literal["stdout", "stderr"]
Status = Literal["created", "running", "ended", "gone"]
"""What a container does: it waits for its start, it runs (paused or restarting too), it has ended for good, or the
engine does not know it, or not any more."""


@dataclass(frozen=True)
class Mount:
    """A directory or volume that is mounted into a container.

    Args:
        source: Path or volume name, as the engine knows it.
        target: Absolute path inside the container.
        read_only: Whether the container may only read it.
        kind: Bind mount; named volume; memory-backed file system (``source`` is then unused); or a path of this
            process (``local``), which may itself run in a container.
        size_bytes: Maximum size of a tmpfs, in bytes; 0 leaves it to the engine.
    """

    source: str
    target: str
    read_only: bool = True
    kind: Literal["bind", "volume", "tmpfs", "local"] = "bind"
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
        log_bytes: How much of its output the engine keeps at least, in bytes; at most twice as much. None leaves it to
            the engine.
        published_ports: Ports on the engine's 127.0.0.1, by the container's port that each leads to.
        entrypoint: Replaces the image's entrypoint; None keeps it.
        terminal: Whether the container has a terminal, and an open standard input.
        secrets: Contents of the files under ``/run/secrets``, by name; the engine keeps them in memory alone.
        options: The engine's own keyword arguments, which no one else reads; they override everything above but
            entrypoint and terminal.
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
    log_bytes: int | None = None
    published_ports: Mapping[int, int] = field(default_factory=dict)
    entrypoint: Sequence[str] | None = None
    terminal: bool = False
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A container as the engine lists it.

    Args:
        id: Full id.
        name: Name without a leading slash.
        image: Name of the image, as it was requested.
        status: What it does.
        created_at_s: Time of creation, in whole seconds since the epoch.
        labels: Labels of the container.
    """

    id: str
    name: str
    image: str
    status: Status
    created_at_s: float
    labels: Mapping[str, str]

    @property
    def short_id(self) -> str:
        """The id as the engine's own tools show it."""
        return short_id(self.id)


@dataclass(frozen=True)
class ContainerState:
    """A container as the engine describes it at one moment.

    Args:
        id: Full id.
        name: Name without a leading slash.
        image: Name of the image, as the step asked for it.
        image_id: Content address of the image.
        status: What it does.
        exit_code: Exit code once it has ended; 128 + n after signal n; -1 if it never ran, or the engine has lost it,
            and ``error`` says why.
        oom_killed: Whether the kernel killed one of its processes for lack of memory.
        error: The engine's own error from starting it, or what ended it from outside; empty if none.
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
    status: Status
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
        return self.status == "ended"

    @property
    def short_id(self) -> str:
        """The id as the engine's own tools show it."""
        return short_id(self.id)


@dataclass(frozen=True)
class Usage:
    """A container's resource usage at one moment.

    Args:
        memory_bytes: Memory in use now, without inactive page cache, in bytes.
        cpu_s: CPU time since its start, in seconds.
    """

    memory_bytes: int
    cpu_s: float


@dataclass(frozen=True)
class OptionFacts:
    """What an engine's own keyword arguments mean, for those to whom they are opaque.

    Args:
        networks: The networks that they let a container join; ``none`` takes its network away.
        reaching: Those that are not known to stay inside the container, by name.
        copied: Those that another container can have as well.
        copied_without_networks: The same, without those that decide about networks.
        guarded: All of them, and what keeps this machine's own settings out of the container.
    """

    networks: Sequence[str]
    reaching: Mapping[str, Any]
    copied: Mapping[str, Any]
    copied_without_networks: Mapping[str, Any]
    guarded: Mapping[str, Any]


class Output(Protocol):
    """A container's output from a position on, until the container has ended and everything was read, or is lost."""

    @property
    def cursor(self) -> str:
        """The position after the last chunk, from which :meth:`Engine.follow` continues."""

    @property
    def lost(self) -> str | None:
        """Why some of the output cannot be read; None if none is known to be lost."""

    @property
    def caught_up(self) -> bool:
        """Whether everything was read that the container wrote before it was followed."""

    def __iter__(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield chunks as they arrive, split at arbitrary points.

        Empty ones are signs of progress: it has caught up, or has skipped what was read before.

        Raises:
            EngineError: The connection was cut. The output goes on from ``cursor``.
        """

    def close(self) -> None:
        """End the stream; may be called from another thread."""


START = ""
"""The cursor of a container's first byte of output."""


class Mailbox(Protocol):
    """What goes into a container, and comes out, as bytes: the context, and the messages.

    The workload is a stranger: whatever it does, an implementation neither follows it to other files nor waits for it.
    """

    def spec_part(self) -> Sequence[Mount]:
        """Return what a container's specification needs so that the container has this mailbox."""

    def reserve_context(self) -> None:
        """Make a place for the context, so that the container can be made before the context is known.

        The context must be put in before the container is started.

        Raises:
            ExchangeError: It cannot be made.
        """

    def put_context(self, context: bytes) -> None:
        """Make the context readable in the container, now or as soon as it is made; a second call changes nothing.

        Raises:
            ExchangeError: It cannot be written.
        """

    def size_bytes(self) -> int:
        """Return how much has been written as messages, as far as is known here, read or not.

        Raises:
            ExchangeError: The messages cannot be read.
        """

    def read(self, offset: int, *, timeout_s: float) -> bytes:
        """Return messages from an offset in bytes on; empty if none arrive within the time, in seconds.

        Raises:
            ExchangeError: The messages cannot be read, or became shorter than what was read of them.
        """

    def collect(self) -> None:
        """Let go of whatever the mailbox occupies, once everything was read; the directory keeps what was read."""


class Engine(Protocol):
    """The operations that the client needs from a container engine.

    Every method raises :class:`drayage.errors.EngineError`, or one of its subclasses, if the engine refuses or fails.
    Containers are named by their full id.

    Attributes:
        has_networks: Whether a container can join networks, or none.
        has_streams: Whether a container's standard output and standard error come apart; if not, all is the former.
    """

    has_networks: bool
    has_streams: bool

    def resolve(self, image: str, *, pull: Literal["missing", "always", "never"]) -> str:
        """Return the content address of an image, pulling it first if the policy says so."""

    def login(self, *, url: str, username: str, password: str) -> None:
        """Log in to an image registry."""

    def create(self, spec: ContainerSpec) -> ContainerState:
        """Create a container, and return its state; leave nothing behind if that fails.

        Raises:
            SettingsError: The engine cannot make a container of this specification, whose author must correct it.
        """

    def start(self, container_id: str) -> None:
        """Put the secrets of a created container in place, and start it."""

    def finish_start(self, container_id: str, *, secrets: Mapping[str, bytes], context: bytes | None) -> bool:
        """Go on with the start of a created container whose creator has died; return whether it is being started.

        Where a container starts by itself once its secrets have come, nobody can tell from its status whether they
        have: another one in its place might be the second to work. They are brought again. Where a container starts
        only when it is told to, one that was not will not.

        Args:
            container_id: The container.
            secrets: Contents of its secrets, by name.
            context: The context that its mailbox keeps; None if there is none.
        """

    def follow(self, container_id: str, cursor: str | None = None) -> Output:
        """Follow a container's output.

        Args:
            container_id: The container.
            cursor: The position to begin at: ``START``, or the ``cursor`` of an output that was cut. None begins with
                what the container writes from now on.
        """

    def await_end(self, container_id: str, timeout_s: float) -> ContainerState | None:
        """Return a container's last state once it has ended or is gone; None if neither happens within the time."""

    def state(self, container_id: str) -> ContainerState:
        """Return a container's current state; of one that the engine does not know, with the status ``gone``."""

    def usage(self, container_id: str) -> Usage | None:
        """Return a container's resource usage, or None if it is not running."""

    def stop(self, container_id: str, signal: str, grace_s: float) -> None:
        """Send a signal to a container, and kill it if it still runs after a time; do nothing if it does not run.

        Args:
            container_id: The container.
            signal: Name of the signal, such as ``SIGTERM``.
            grace_s: Time between the signal and SIGKILL, in seconds.
        """

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not, and its secrets; do nothing if it is gone."""

    def find(self, owner: Mapping[str, str]) -> Sequence[Found]:
        """Return the containers, running or not, that carry all these labels; an empty value matches any value.

        This takes one or two requests, however many containers there are.
        """

    def mailbox(
        self, folder: Path, *, labels: Mapping[str, str], waits: bool = False, receives: bool = True
    ) -> Mailbox:
        """Open the mailbox of one attempt.

        Args:
            folder: The folder in the attempt's directory that keeps what went in and came out. What a former process
                left there is continued.
            labels: The labels of the container that the mailbox belongs to, by which another process finds again
                whatever the mailbox occupies on the engine: its identity, and the name of its exchange directory.
            waits: Whether the container is started before its context is put into the mailbox, and waits for it.
            receives: Whether the workload may write messages; otherwise the host writes them into the folder itself.

        Raises:
            ExchangeError: The mailbox cannot be made.
        """

    def explain(self, options: Mapping[str, Any]) -> OptionFacts:
        """Say what the engine's own keyword arguments mean, without asking the engine."""

    def read_file(self, image: str, path: str) -> bytes:
        """Read one file out of an image without running it."""


def remove_owned(engine: Engine, owner: Mapping[str, str]) -> None:
    """Remove all containers that carry these labels.

    Args:
        engine: The engine that they are on.
        owner: Labels as in :meth:`Engine.find`.

    Raises:
        EngineError: The engine refuses, or does not answer.
    """
    for found in engine.find(owner):
        engine.remove(found.id)


def short_id(container_id: str) -> str:
    """Return an id as the engine's own tools show it: the beginning of a digest, or a name as it is."""
    return container_id[:12] if _DIGEST.fullmatch(container_id) else container_id


def gone(container_id: str) -> ContainerState:
    """Return the state of a container that an engine does not know."""
    return ContainerState(
        id=container_id,
        name="",
        image="",
        image_id="",
        status="gone",
        exit_code=0,
        oom_killed=False,
        error="",
        memory_limit_bytes=0,
        started_at_s=0.0,
        finished_at_s=0.0,
        labels={},
    )
