"""A context that is held back reaches the reader that waits for it, and every later one."""

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drayage.exchange.context_pipe import ContextPipe
from drayage.exchange.directory import Attempt, Exchange

CONTEXT = '{"run_id": "r"}'
DEADLINE_S = 20.0


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Exchange(tmp_path).create("run/step/0")


class Reader:
    """Reads a context as a workload does: opens the file and reads to its end."""

    def __init__(self, attempt: Attempt) -> None:
        self.read: list[str] = []
        self._thread = threading.Thread(target=lambda: self.read.append(attempt.context.read_text()), daemon=True)
        self._thread.start()

    def has_ended(self, timeout_s: float = DEADLINE_S) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


@pytest.fixture
def pipe(attempt: Attempt) -> Iterator[ContextPipe]:
    pipe = ContextPipe(attempt)
    pipe.open()
    yield pipe
    pipe.close()


def deliver(attempt: Attempt, pipe: ContextPipe, context: str = CONTEXT) -> None:
    attempt.write_context(context)
    pipe.deliver()


@pytest.mark.parametrize("context", [CONTEXT, "x" * 1_000_000], ids=["small", "larger than a pipe"])
def test_a_reader_that_comes_early_waits(attempt: Attempt, pipe: ContextPipe, context: str) -> None:
    reader = Reader(attempt)
    assert not reader.has_ended(0.2)
    deliver(attempt, pipe, context)
    assert reader.has_ended()
    assert reader.read == [context]


def test_a_reader_that_comes_later_finds_a_file(attempt: Attempt, pipe: ContextPipe) -> None:
    deliver(attempt, pipe)
    for _ in range(2):
        assert attempt.context.read_text() == CONTEXT
    assert stat.S_IMODE(attempt.context.stat().st_mode) == 0o644
    pipe.close()
    assert [path.name for path in attempt.path.iterdir()] == ["io"]


@pytest.mark.usefixtures("pipe")
def test_every_user_may_read_it_while_it_is_held_back(attempt: Attempt) -> None:
    assert attempt.awaits_context
    assert stat.S_IMODE(attempt.context.stat().st_mode) == 0o644


def test_closing_stops_waiting_for_readers(attempt: Attempt, pipe: ContextPipe) -> None:
    deliver(attempt, pipe)
    pipe.close()
    for thread in threading.enumerate():
        if thread.name == "drayage-context":
            thread.join(DEADLINE_S)
            assert not thread.is_alive()


def test_a_stalled_reader_blocks_nothing(attempt: Attempt, pipe: ContextPipe) -> None:
    go_on, went_on = threading.Event(), []

    def stall() -> None:
        with attempt.context.open() as context:
            went_on.append(go_on.wait(DEADLINE_S))
            context.read()

    reader = threading.Thread(target=stall, daemon=True)
    reader.start()
    reader.join(0.2)
    deliver(attempt, pipe, "x" * 1_000_000)
    go_on.set()
    reader.join(DEADLINE_S)
    assert not reader.is_alive()
    assert went_on == [True], "the context was delivered while it stalled"


@pytest.mark.usefixtures("pipe")
def test_another_process_delivers_what_a_dead_one_had_written(attempt: Attempt) -> None:
    reader = Reader(attempt)
    assert not reader.has_ended(0.2)
    attempt.write_context(CONTEXT)
    other = ContextPipe(attempt)
    other.deliver()
    assert reader.has_ended()
    assert reader.read == [CONTEXT]
    other.close()


def test_a_context_that_was_never_held_back_is_left_alone(attempt: Attempt) -> None:
    attempt.write_context(CONTEXT)
    threads_before = set(threading.enumerate())
    pipe = ContextPipe(attempt)
    pipe.deliver()
    pipe.close()
    assert attempt.context.read_text() == CONTEXT
    started = set(threading.enumerate()) - threads_before
    assert not any(thread.name == "drayage-context" for thread in started)
