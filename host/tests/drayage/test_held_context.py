"""A context that is held back reaches whoever waits for it, and whoever comes later."""

import stat
import threading
from pathlib import Path

import pytest

from drayage.exchange import Attempt, Exchange
from drayage.held_context import HeldContext

CONTEXT = '{"run_id": "r"}'
DEADLINE_S = 20.0


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Exchange(tmp_path).create("run/step/0")


class Reader:
    """Reads a context as a workload does: it opens the file, and reads to its end."""

    def __init__(self, attempt: Attempt) -> None:
        self.read: list[str] = []
        self._thread = threading.Thread(target=lambda: self.read.append(attempt.context.read_text()), daemon=True)
        self._thread.start()

    def has_ended(self, timeout_s: float = DEADLINE_S) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


def hold(attempt: Attempt) -> HeldContext:
    held = HeldContext(attempt)
    held.hold()
    return held


def give(attempt: Attempt, held: HeldContext, context: str = CONTEXT) -> None:
    attempt.write_context(context)
    held.give()


@pytest.mark.parametrize("context", [CONTEXT, "x" * 1_000_000], ids=["small", "larger than a pipe"])
def test_a_reader_that_came_before_waits(attempt: Attempt, context: str) -> None:
    held = hold(attempt)
    reader = Reader(attempt)
    assert not reader.has_ended(0.2)
    give(attempt, held, context)
    assert reader.has_ended()
    assert reader.read == [context]


def test_a_reader_that_comes_later_finds_a_file(attempt: Attempt) -> None:
    held = hold(attempt)
    give(attempt, held)
    for _ in range(2):
        assert attempt.context.read_text() == CONTEXT
    assert stat.S_IMODE(attempt.context.stat().st_mode) == 0o644
    held.close()
    assert [path.name for path in attempt.path.iterdir()] == ["io"]


def test_every_user_may_read_it_while_it_is_held(attempt: Attempt) -> None:
    hold(attempt)
    assert attempt.awaits_context
    assert stat.S_IMODE(attempt.context.stat().st_mode) == 0o644


def test_nobody_waits_for_a_reader_after_the_end(attempt: Attempt) -> None:
    held = hold(attempt)
    give(attempt, held)
    held.close()
    for thread in threading.enumerate():
        if thread.name == "drayage-context":
            thread.join(DEADLINE_S)
            assert not thread.is_alive()


def test_another_process_gives_what_one_that_died_had_written(attempt: Attempt) -> None:
    hold(attempt)
    reader = Reader(attempt)
    assert not reader.has_ended(0.2)
    attempt.write_context(CONTEXT)
    HeldContext(attempt).give()
    assert reader.has_ended()
    assert reader.read == [CONTEXT]


def test_a_context_that_was_never_held_is_left_alone(attempt: Attempt) -> None:
    attempt.write_context(CONTEXT)
    held = HeldContext(attempt)
    held.give()
    held.close()
    assert attempt.context.read_text() == CONTEXT
    assert not any(thread.name == "drayage-context" for thread in threading.enumerate())
