"""Helps the contract tests run scripts on an engine and follow their output, always with a deadline."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Any, TypeVar

from engine_rigs import IMAGE, EngineRig
from shell_scripts import Script

from drayage.engine import START, ContainerSpec, ContainerState, Engine, Output, Stream

DEADLINE_S = 60.0

_Result = TypeVar("_Result")


def in_thread(call: Callable[[], _Result]) -> Future[_Result]:
    """Call in a daemon thread, so that an engine that blocks forever fails one test and not the whole session."""
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again by the future
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


class FollowedOutput:
    """An output that a thread reads.

    Args:
        output: The output.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._changed = Condition()
        self._received: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._reading = in_thread(self._read)

    def until(self, content: bytes, stream: Stream = "stdout") -> None:
        """Wait until a stream has contained something."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: content in self._received[stream] or self._reading.done(), timeout=DEADLINE_S
            )
            assert came, f"{content!r} did not arrive within {DEADLINE_S} s, but {self._received}"
            assert content in self._received[stream], f"the output ended without {content!r}: {self._received}"

    def whole(self) -> dict[Stream, bytes]:
        """Wait for its end; return the content of each stream."""
        self._reading.result(timeout=DEADLINE_S)
        self._output.close()
        return {stream: bytes(content) for stream, content in self._received.items()}

    def close(self) -> None:
        """Close it from this thread, and wait for the reading thread."""
        self._output.close()
        self._reading.result(timeout=DEADLINE_S)

    def _read(self) -> None:
        for stream, chunk in self._output:
            with self._changed:
                self._received[stream] += chunk
                self._changed.notify_all()


class Bench:
    """An engine under test, and what the tests do with it.

    Args:
        rig: The engine and its surroundings.
    """

    def __init__(self, rig: EngineRig) -> None:
        self.rig = rig

    @property
    def engine(self) -> Engine:
        """The engine under test."""
        return self.rig.engine

    def create(self, script: Script | Sequence[str] | str | None, **spec: Any) -> ContainerState:
        """Create a Debian container that runs a script or a command; None is the image's own."""
        command = self.rig.command(script) if isinstance(script, Script) else script
        labels = {**self.rig.labels, **spec.pop("labels", {})}
        return self.engine.create(ContainerSpec(image=IMAGE, command=command, labels=labels, **spec))

    def run(self, script: Script | Sequence[str] | str | None, **spec: Any) -> ContainerState:
        """Create a container and start it; return its state before the start."""
        created = self.create(script, **spec)
        self.engine.start(created.id)
        return created

    def run_until(self, output: bytes, script: Script, **spec: Any) -> str:
        """Start a container and wait until its standard output contains something; return its id."""
        container = self.create(script, **spec)
        followed = self.follow(container.id, from_start=False)
        self.engine.start(container.id)
        followed.until(output)
        followed.close()
        return container.id

    def follow(self, container_id: str, *, from_start: bool) -> FollowedOutput:
        """Follow a container's output in a thread."""
        return FollowedOutput(self.engine.follow(container_id, START if from_start else None))

    def end_of(self, container_id: str) -> ContainerState:
        """Wait for a container's end; return its state."""
        ended = self.engine.await_end(container_id, DEADLINE_S)
        assert ended is not None, f"it has not ended within {DEADLINE_S} s"
        return ended

    def output_of(self, script: Script, **spec: Any) -> str:
        """Run a script to its end; return its standard output."""
        container = self.create(script, **spec)
        followed = self.follow(container.id, from_start=False)
        self.engine.start(container.id)
        self.end_of(container.id)
        return followed.whole()["stdout"].decode()
