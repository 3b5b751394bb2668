"""One program in the relay brings a pod's messages and lets the pod end; another helps where that one cannot."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import pytest
from fake_cluster import FakeCluster
from recorded_pods import ended, running

from drayage.kubernetes import follower, messages
from drayage.kubernetes.api import Cluster
from drayage.kubernetes.execution import STDERR, STDOUT, CutError
from drayage.kubernetes.messages import MessageStream
from drayage.kubernetes.watch import PodWatch
from drayage.mirror import Mirror

DEADLINE_S = 30.0
RELAY_RUNS = ({"name": "relay", "state": {"running": {}}},)


class Relay:
    """The relay of one pod, whose programs are run one after the other.

    Args:
        knows_rest: Whether a follower can be told that no more will come; an older one cannot.
    """

    def __init__(self, *, knows_rest: bool = True) -> None:
        self.written = b""
        self.knows_rest = knows_rest
        self.programs: list[Program] = []
        self.is_done = False

    def run(self, _cluster: Any, _pod: str, _container: str, command: Sequence[str], **_: Any) -> "Program":
        self.programs.append(Program(self, command))
        return self.programs[-1]

    def run_to_end(self, *arguments: Any, **named: Any) -> bytes:
        assert "done" in self.run(*arguments, **named).command
        self.is_done = True
        return b""

    @property
    def commands(self) -> list[str]:
        """What was run: a reader that follows is ``follow``."""
        return ["follow" if "--follow" in it.command else it.command[1] for it in self.programs]


class Program:
    """One program in the relay's container, connected by a stream that can be cut."""

    def __init__(self, relay: Relay, command: Sequence[str]) -> None:
        self.command = command
        self.heard: list[bytes] = []
        self.is_closed = False
        self._relay = relay
        self._parts: SimpleQueue[tuple[int, bytes] | None] = SimpleQueue()
        self._at = int(command[command.index("--from") + 1]) if "--from" in command else 0
        self._move()
        if "--follow" not in command:
            self._parts.put(None)

    def __iter__(self) -> Generator[tuple[int, bytes], None, None]:
        """Yield what it writes."""
        while (part := self._parts.get(timeout=DEADLINE_S)) is not None:
            yield part
        if self.is_closed:
            raise CutError("cut")

    def send(self, content: bytes) -> None:
        if self.is_closed:
            raise CutError("cut")
        self.heard.append(content)
        if content == b"rest\n" and self._relay.knows_rest:
            # The word may overtake the bytes that it is about, and come in parts.
            word = b'{"rest":%d}\n' % len(self._relay.written)
            self._parts.put((STDERR, b'{"at":0}\n' + word[:4]))
            self._parts.put((STDERR, word[4:]))
            self._move()
        if content == b"done\n":
            self._relay.is_done = True
            self._parts.put(None)

    def bear(self, _silence_s: float) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True
        self._parts.put(None)

    def _move(self) -> None:
        if "--from" in self.command and self._at < len(self._relay.written):
            self._parts.put((STDOUT, self._relay.written[self._at :]))
            self._at = len(self._relay.written)


class Step:
    """A pod's messages as the host sees them."""

    def __init__(self, relay: Relay, folder: Path) -> None:
        self.relay = relay
        self.watch = PodWatch(cast("Cluster", FakeCluster()), {})
        self.watch.note(running(inits=RELAY_RUNS))
        self.mirror = Mirror(folder, waits=False, ahead_bytes=None)
        self.stream = MessageStream(cast("Cluster", FakeCluster()), self.watch, "step-1", self.mirror)
        self.stream.start()
        self.until(lambda: bool(relay.programs))

    def end(self, written: bytes) -> None:
        """Let the workload write, and end; and wait until all of it has come."""
        self.relay.written = written
        self.watch.note(ended(0, "Completed", inits=RELAY_RUNS))
        self.until(self._is_over)

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < deadline, self.relay.commands
            time.sleep(0.01)

    def _is_over(self) -> bool:
        self.stream.hurry()
        return self.stream.over.is_set()

    @property
    def came(self) -> bytes:
        return self.mirror.read(0, timeout_s=0)


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Relay], Step]]:
    """Return a function that begins to read from a relay."""
    steps: list[Step] = []

    def begin(relay: Relay) -> Step:
        monkeypatch.setattr(messages, "Execution", relay.run)
        monkeypatch.setattr(messages, "run", relay.run_to_end)
        steps.append(Step(relay, tmp_path))
        return steps[-1]

    yield begin
    for step in steps:
        step.stream.close()
        step.mirror.close()


def test_one_program_brings_everything_and_lets_the_pod_end(begin: Callable[[Relay], Step]) -> None:
    step = begin(Relay())
    step.end(b"one\ntwo\n")
    assert step.came == b"one\ntwo\n"
    assert not step.relay.is_done, "only once it is kept"
    step.stream.say_done()
    assert step.relay.is_done
    assert step.relay.commands == ["follow"]
    assert step.relay.programs[0].is_closed


def test_it_is_told_once_that_no_more_will_come(begin: Callable[[Relay], Step]) -> None:
    step = begin(Relay(knows_rest=False))
    step.watch.note(ended(0, "Completed", inits=RELAY_RUNS))
    for _ in range(10):
        step.stream.hurry()
    assert step.relay.programs[0].heard == [b"rest\n"]


def test_a_relay_that_does_not_answer_is_helped_by_another_program(
    begin: Callable[[Relay], Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be an older one, or the connection is dead."""
    monkeypatch.setattr(follower, "_ANSWER_TO_REST_S", 0.2)
    step = begin(Relay(knows_rest=False))
    step.end(b"one\n")
    assert step.came == b"one\n"
    step.stream.say_done()
    assert step.relay.is_done
    assert step.relay.commands == ["follow", "read", "done"]
    assert step.relay.programs[0].is_closed


def test_a_cut_before_the_pod_may_end_lets_another_program_say_so(begin: Callable[[Relay], Step]) -> None:
    step = begin(Relay())
    step.end(b"one\n")
    step.relay.programs[0].close()
    step.stream.say_done()
    assert step.relay.is_done
    assert step.relay.commands == ["follow", "done"]


def test_a_pod_whose_messages_nobody_keeps_may_not_end(begin: Callable[[Relay], Step]) -> None:
    step = begin(Relay())
    step.end(b"one\n")
    step.stream.close()
    assert step.relay.programs[0].is_closed, "the relay learns that its host is gone"
    assert not step.relay.is_done


def test_a_workload_that_has_ended_already_needs_no_more_programs(begin: Callable[[Relay], Step]) -> None:
    relay = Relay()
    relay.written = b"one\n"
    step = begin(relay)
    step.relay.programs[0].close()
    step.end(b"one\ntwo\n")
    assert step.came == b"one\ntwo\n"
    assert set(relay.commands) == {"follow"}
