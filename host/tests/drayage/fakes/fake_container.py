"""A container of the fake engine, and its output."""

import hashlib
import shlex
import signal as signals
from collections.abc import Callable, Generator, Iterator
from threading import Condition

from fake_process import FakeImage, OutOfMemoryError, Process, Program

from drayage.engine import ContainerSpec, ContainerState, Found, Status, Stream
from drayage.errors import EntrypointError
from drayage.identity import IMAGE

KILLED = 128 + signals.SIGKILL
_NOT_FOUND = 127
_IGNORED_BY_DEFAULT = frozenset({"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"})


class FakeContainer:
    """A container that runs only while one of its methods is called, so that tests are deterministic.

    Args:
        spec: Its specification.
        image: Its image.
        number: Determines its id.
        clock: Seconds since the epoch.
        changed: Guards the engine, and is notified of every change.
        on_change: Called when it has printed something or ended.
    """

    def __init__(
        self,
        spec: ContainerSpec,
        image: FakeImage,
        number: int,
        *,
        clock: Callable[[], float],
        changed: Condition,
        on_change: Callable[[], None],
    ) -> None:
        self.spec = spec
        self.image = image
        self.id = hashlib.sha256(f"container {number}".encode()).hexdigest()
        self.name = spec.name or f"fake-{number}"
        self.changed = changed
        self.chunks: list[tuple[Stream, bytes]] = []
        self.status: Status = "created"
        self.is_removed = False
        self._exit_code = 0
        self._oom_killed = False
        self._error = ""
        self._created_at_s = clock()
        self._started_at_s = 0.0
        self._finished_at_s = 0.0
        self._clock = clock
        self._on_change = on_change
        command = spec.command if spec.command is not None else image.command
        words = shlex.split(command) if isinstance(command, str) else command
        self.process = Process(words, spec, image, self._emit)
        self._steps: Generator[None, str, int] | None = None

    @property
    def is_over(self) -> bool:
        """Whether it will print nothing more."""
        return self.is_removed or self.status == "ended"

    def state(self) -> ContainerState:
        return ContainerState(
            id=self.id,
            name=self.name,
            image=self.spec.labels.get(IMAGE, self.spec.image),
            image_id=self.image.id,
            status=self.status,
            exit_code=self._exit_code,
            oom_killed=self._oom_killed,
            error=self._error,
            memory_limit_bytes=self.spec.memory_bytes or 0,
            started_at_s=self._started_at_s,
            finished_at_s=self._finished_at_s,
            labels=dict(self.spec.labels),
        )

    def found(self) -> Found:
        return Found(
            id=self.id,
            name=self.name,
            image=self.spec.image,
            status=self.status,
            created_at_s=float(int(self._created_at_s)),
            labels=dict(self.spec.labels),
        )

    def start(self) -> None:
        """Run its program until it waits for a signal, or to its end."""
        if self.status == "running":
            return
        name = self.process.arguments[0] if self.process.arguments else ""
        program = self.image.programs.get(name, _not_found if self.spec.init else None)
        if program is None:
            self._exit_code, self._error = _NOT_FOUND, f"exec: {name!r}: no such file or directory"
            raise EntrypointError(
                f"The command cannot be started: {self._error}. Compare it with the image's programs."
            )
        self.status, self._started_at_s = "running", self._clock()
        self.process.secrets.update(self.spec.secrets)
        self._run(lambda: self._begin(program))

    def deliver(self, signal: str) -> None:
        """Handle a signal as a kernel does."""
        if self.status != "running":
            return
        if signal != "SIGKILL":
            steps = self._steps
            if signal in self.process.handled and steps is not None:
                self._run(lambda: steps.send(signal))
                return
            # Without an init, the program is process 1, which gets only the signals that it handles.
            if signal in _IGNORED_BY_DEFAULT or not self.spec.init:
                return
        self.end(128 + signals.Signals[signal])

    def end(self, exit_code: int) -> None:
        """End it from outside."""
        if self._steps is not None:
            self._steps.close()
        self._end(exit_code)

    def _emit(self, stream: Stream, content: bytes) -> None:
        self.chunks.append((stream, content))
        self._on_change()

    def _begin(self, program: Program) -> None:
        begun = program(self.process)
        if isinstance(begun, int):
            self._end(begun)
        else:
            self._steps = begun
            next(begun)

    def _run(self, step: Callable[[], None]) -> None:
        try:
            step()
        except StopIteration as end:
            self._end(end.value)
        except OutOfMemoryError:
            self._oom_killed = True
            self._end(KILLED)
        except BaseException:
            # An error in a test's own program is raised where the test starts or signals the container.
            self._end(1)
            raise

    def _end(self, exit_code: int) -> None:
        self.process.secrets.clear()
        self.status, self._exit_code, self._finished_at_s = "ended", exit_code, self._clock()
        self._on_change()


class FakeOutput:
    """The output of a container from a position; iterating waits for more until the container ends.

    Args:
        container: The container.
        position: Index of the first chunk.
    """

    lost: str | None = None

    def __init__(self, container: FakeContainer, position: int) -> None:
        self._container = container
        self._position = position
        self._old = len(container.chunks)
        self._is_closed = False

    @property
    def cursor(self) -> str:
        """The index of the next chunk."""
        return str(self._position)

    @property
    def caught_up(self) -> bool:
        """Whether everything was read that was there at first."""
        return self._position >= self._old

    def __iter__(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield chunks as they come."""
        container = self._container
        while True:
            with container.changed:
                container.changed.wait_for(
                    lambda: self._is_closed or self._position < len(container.chunks) or container.is_over
                )
                if self._is_closed or self._position == len(container.chunks):
                    return
                chunk = container.chunks[self._position]
                self._position += 1
            yield chunk

    def close(self) -> None:
        """End the stream from another thread."""
        with self._container.changed:
            self._is_closed = True
            self._container.changed.notify_all()


def _not_found(process: Process) -> int:
    """Behave like an init whose command is missing."""
    process.emit("stderr", f"exec {process.arguments[0]} failed: No such file or directory\n".encode())
    return _NOT_FOUND
