"""Log messages on their way to Dagster: in order, whole or counted, and never in anyone's way."""

import signal
import threading
from collections.abc import Sequence
from threading import Event, Thread

import pytest

from drayage.interrupts import held_back
from drayage.pipes import log_lines
from drayage.pipes.log_lines import LogLine, LogLines


class Store:
    """Stores log messages, once it is released."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.batches: list[int] = []
        self.busy, self.released = Event(), Event()
        self.error: BaseException | None = None

    def write(self, lines: Sequence[LogLine]) -> None:
        self.busy.set()
        assert self.released.wait(60)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.batches.append(len(lines))
        self.lines += lines

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def problems() -> list[str]:
    return []


@pytest.fixture
def lines(store: Store, problems: list[str]) -> LogLines:
    return LogLines(store.write, report_problem=problems.append, where="all are here", deadline_s=30, hurried_s=0.2)


def test_all_are_stored_in_order_and_many_at_once(lines: LogLines, store: Store, problems: list[str]) -> None:
    for number in range(20_000):
        lines.put("INFO" if number % 2 else "error", str(number))
    store.released.set()
    lines.finish(hurried=False)
    assert store.texts == [str(number) for number in range(20_000)]
    assert {line.level for line in store.lines[::2]} == {"error"}
    assert len(store.batches) < 30
    assert not problems


def test_a_single_one_is_stored_at_once(lines: LogLines, store: Store) -> None:
    store.released.set()
    lines.put("INFO", "a")
    assert store.busy.wait(30)


def test_a_step_without_log_messages_has_no_thread(lines: LogLines) -> None:
    before = threading.active_count()
    lines.finish(hurried=False)
    assert threading.active_count() == before


def test_what_comes_too_fast_is_counted_where_it_is_missing(
    lines: LogLines, store: Store, problems: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "_MOST_WAITING", 10)
    lines.put("INFO", "first")
    assert store.busy.wait(30)
    for number in range(1000):
        lines.put("INFO", str(number))
    store.released.set()
    lines.finish(hurried=False)
    assert store.texts[:11] == ["first", *map(str, range(10))]
    (warning,) = store.lines[11:]
    assert warning.level == "WARNING"
    assert warning.text == (
        "990 log messages were left out here, because they came faster than Dagster's event log stores them; all are "
        "here"
    )
    assert not problems, "they are no results"


def test_the_memory_of_what_waits_is_limited(lines: LogLines, store: Store) -> None:
    """A log message may have 16 MiB."""
    lines.put("INFO", "first")
    assert store.busy.wait(30)
    for _ in range(20):
        lines.put("INFO", "x" * 2**24)
    store.released.set()
    lines.finish(hurried=False)
    assert [len(text) for text in store.texts[1:3]] == [2**24, 2**24]
    assert store.texts[3].startswith("18 log messages were left out here")


def test_after_a_gap_all_goes_on(lines: LogLines, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "_MOST_WAITING", 1)
    lines.put("INFO", "first")
    assert store.busy.wait(30)
    lines.put("INFO", "second")
    lines.put("INFO", "third")
    store.released.set()
    deadline = threading.Event()
    for _ in range(3000):
        if store.texts == ["first", "second"]:
            break
        deadline.wait(0.01)
    lines.put("INFO", "fourth")
    lines.finish(hurried=False)
    assert store.texts[:2] == ["first", "second"]
    assert store.texts[2].startswith("1 log message was left out here")
    assert store.texts[3:] == ["fourth"]


def test_one_warning_stands_for_many_however_slowly_they_are_stored(
    lines: LogLines, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each message that is stored would make room for one more, and a warning before it."""
    monkeypatch.setattr(log_lines, "_MOST_WAITING", 2)
    monkeypatch.setattr(log_lines, "_MOST_AT_ONCE", 1)
    queue = lines._queue  # noqa: SLF001 - no thread, so that nothing depends on the time
    for number in range(4):
        queue.put(LogLine("INFO", str(number), 0.0))
    assert [line.text for line in queue.take()] == ["0"]
    queue.put(LogLine("INFO", "4", 0.0))
    queue.close()
    assert [line.text for line in queue.take()] == ["1"]
    (warning,) = queue.take()
    assert warning.text.startswith("3 log messages were left out here")
    assert not queue.take()
    store.released.set()


def test_a_warning_that_is_left_out_itself_is_counted_in_the_next(
    lines: LogLines, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "_MOST_WAITING", 2)
    queue = lines._queue  # noqa: SLF001 - as above
    for number in range(5):
        queue.put(LogLine("INFO", str(number), 0.0))
    queue.close()
    queue.leave_out_rest()
    (warning,) = queue.take()
    assert warning.text.startswith("5 log messages were left out here")
    store.released.set()


def test_a_step_that_ends_early_leaves_the_rest_out_and_says_so(
    lines: LogLines, store: Store, problems: list[str]
) -> None:
    for number in range(5000):
        lines.put("INFO", str(number))
    assert store.busy.wait(30)
    release = threading.Timer(0.3, store.released.set)
    release.start()
    lines.finish(hurried=True)
    release.join()
    *stored, warning = store.texts
    assert stored == [str(number) for number in range(len(stored))]
    assert warning.startswith(f"{5000 - len(stored):,} log messages were left out here")
    assert not problems


def test_a_cancel_ends_the_wait(lines: LogLines, store: Store, problems: list[str]) -> None:
    lines.put("INFO", "a")
    assert store.busy.wait(30)
    waiting = Event()

    @held_back()
    def finish() -> None:
        waiting.set()
        lines.finish(hurried=False)

    Thread(target=lambda: waiting.wait(60) and signal.raise_signal(signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        finish()
    assert "writing them hangs" in problems[0]
    store.released.set()


def test_storage_that_hangs_is_a_problem(store: Store, problems: list[str]) -> None:
    lines = LogLines(store.write, report_problem=problems.append, where="", deadline_s=0.1, hurried_s=0.1)
    lines.put("INFO", "a")
    lines.finish(hurried=False)
    assert problems == ["the last log messages were not written to Dagster's event log: writing them hangs"]
    store.released.set()


def test_what_cannot_be_stored_is_a_problem_and_the_rest_is_stored(
    lines: LogLines, store: Store, problems: list[str]
) -> None:
    store.error = OSError("disk full")
    lines.put("INFO", "lost")
    assert store.busy.wait(30)
    lines.put("INFO", "kept")
    store.released.set()
    lines.finish(hurried=False)
    assert store.texts == ["kept"]
    assert problems == ["1 log message was not written to Dagster's event log (OSError: disk full)"]


def test_the_end_of_the_thread_is_a_problem(lines: LogLines, store: Store, problems: list[str]) -> None:
    store.error = SystemExit(3)
    store.released.set()
    lines.put("INFO", "a")
    lines.finish(hurried=False)
    assert problems == ["log messages were not written to Dagster's event log (SystemExit: 3)"]
