"""The message reader, for any bytes, cut anywhere, however the file grows."""

import contextlib
import json
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from drayage.interrupts import held_back
from drayage.mailbox import MESSAGES_FILE, FolderMailbox
from drayage.pipes.limits import MessageLimits
from drayage.pipes.lines import LineSplitter, OverlongLine
from drayage.pipes.reader import LogMessageReader, MailboxReader, poll_s
from drayage.verdict.judge import SizeReached

JSON_TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
MESSAGE = st.builds(
    lambda text, number: {"method": "log", "params": {"message": text, "n": number}}, JSON_TEXT, st.integers()
)
GOOD = MESSAGE.map(lambda message: json.dumps(message, ensure_ascii=False).encode())
NO_NEWLINE = st.binary(max_size=60).map(lambda line: line.replace(b"\n", b""))


class Sink:
    """Receives what a reader finds."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.problems: list[str] = []
        self.limits: set[SizeReached] = set()

    def handle_message(self, message: Any) -> None:
        self.messages.append(message)

    def report_problem(self, text: str, line: bytes | None = None) -> None:  # noqa: ARG002 - the reader passes both
        self.problems.append(text)

    def reach_limit(self, limit: SizeReached) -> None:
        self.limits.add(limit)


@contextlib.contextmanager
def following(folder: Path, sink: Any, **settings: Any) -> Iterator[None]:
    """Let a reader follow the messages in a folder until the block ends."""
    mailbox = FolderMailbox(folder)
    try:
        with MailboxReader(mailbox, kept_in=folder / MESSAGES_FILE, **settings).read_messages(sink):
            yield
    finally:
        mailbox.collect()


def read(chunks: list[bytes], *, longest: int = 10**6, most: int = 10**7) -> Sink:
    """Let the reader follow a file that grows by these chunks."""
    sink = Sink()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / MESSAGES_FILE
        limits = MessageLimits(longest, most)
        with following(path.parent, sink, limits=limits), path.open("ab", buffering=0) as file:
            for chunk in chunks:
                file.write(chunk)
    return sink


def is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def is_object(line: bytes) -> bool:
    return is_json(line) and isinstance(json.loads(line), dict)


@given(
    lines=st.lists(st.one_of(GOOD, NO_NEWLINE), max_size=12),
    rest=st.one_of(st.just(b""), GOOD, NO_NEWLINE),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
@example(lines=[b"null", b"\xff", b'"\\ud800"'], rest=b'{"method"', cuts=[3])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_line_is_a_message_or_a_reported_problem(lines: list[bytes], rest: bytes, cuts: list[int]) -> None:
    """Nothing is lost or invented, wherever the bytes are cut and however the file grows."""
    content = b"".join(line + b"\n" for line in lines) + rest
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    sink = read([content[start:end] for start, end in pairwise(edges)])
    filled = [line for line in lines if line.strip()]
    expected = [json.loads(line) for line in filled if is_json(line)] + ([json.loads(rest)] if is_object(rest) else [])
    assert sink.messages == expected
    unfinished = bool(rest.strip()) and not is_object(rest)
    assert len(sink.problems) == sum(not is_json(line) for line in filled) + unfinished


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=10),
    cuts=st.lists(st.integers(0, 400)),
    limit=st.integers(1, 40),
)
def test_the_splitter_puts_any_cut_back_together(lines: list[bytes], cuts: list[int], limit: int) -> None:
    content = b"".join(line + b"\n" for line in lines)
    splitter, found = LineSplitter(limit), []
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    for start, end in pairwise(edges):
        found += list(splitter.feed(content[start:end]))
    assert found == [line[:limit] for line in lines]
    assert [getattr(line, "size_bytes", len(line)) for line in found] == [len(line) for line in lines]
    assert [isinstance(line, OverlongLine) for line in found] == [len(line) > limit for line in lines]
    assert splitter.finish() is None


def test_a_message_that_is_too_long_is_reported_and_the_next_one_read() -> None:
    sink = read([b'{"a":"' + b"x" * 100 + b'"}\n{"b":1}\n'], longest=50)
    assert sink.messages == [{"b": 1}]
    assert "a message of 108 bytes is longer than the 50 bytes allowed (message_bytes)" in sink.problems[0]


def test_an_unfinished_last_line_is_reported() -> None:
    sink = read([b'{"a":1}\n{"b":'])
    assert sink.messages == [{"a": 1}]
    assert "the last line is half-written" in sink.problems[0]


def test_a_complete_last_message_without_a_newline_is_read() -> None:
    """A shell's printf may leave out the newline; the message is complete all the same."""
    assert read([b'{"a":1}']).messages == [{"a": 1}]


def test_a_file_truncated_while_it_is_read_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(b'{"a":1}\n')
    sink = Sink()
    seen = threading.Event()
    sink.handle_message = lambda _message: seen.set()  # type: ignore[method-assign]  # a fake at the boundary
    with following(tmp_path, sink):
        assert seen.wait(30)
        path.write_bytes(b"")
    assert "truncated or replaced" in sink.problems[0]


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b'{"a":2}')


def rewrite(path: Path) -> None:
    path.write_bytes(b'{"a":2}\n{"b":1}\n')


@pytest.mark.parametrize("harm", [overwrite, rewrite])
def test_messages_that_are_changed_after_they_were_read_are_reported(
    tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    """What is kept would not be what was judged: a retry, a replay or a capsule would read something else."""
    path = tmp_path / MESSAGES_FILE
    path.write_bytes(b'{"a":1}\n')
    sink, seen = Sink(), threading.Event()
    sink.handle_message = lambda _message: seen.set()  # type: ignore[method-assign]  # a fake at the boundary
    with following(tmp_path, sink):
        assert seen.wait(30)
        harm(path)
    assert [problem for problem in sink.problems if "changed /drayage/io/messages.jsonl" in problem]


def test_a_flood_is_over_the_limit_before_it_is_understood(tmp_path: Path) -> None:
    """Messages can be written much faster than they are read, and would fill the disk meanwhile."""
    (tmp_path / MESSAGES_FILE).write_bytes(b'{"a":1}\n' * 100)
    sink, reached = Sink(), []

    def take(_message: Any) -> None:
        reached.append(bool(sink.limits))

    sink.handle_message = take  # type: ignore[method-assign]  # a fake at the boundary
    with following(tmp_path, sink, limits=MessageLimits(100, 400)):
        pass
    assert reached == [True] * 50


def test_a_reader_that_fails_is_reported_and_the_session_closes(tmp_path: Path) -> None:
    """Whatever ends its thread: a session that waits for it would never close, and a step be green in part."""
    path = tmp_path / "messages.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":1}\n')
    sink = Sink()

    def fail(_message: Any) -> None:
        raise SystemExit(3)

    sink.handle_message = fail  # type: ignore[method-assign]  # a fake at the boundary
    with following(tmp_path, sink):
        pass
    assert sink.problems == ["the messages were read only in part, because reading them failed (SystemExit: 3)"]


class Hanging(Sink):
    """Takes two messages, and hangs at the third until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs, self.released = threading.Event(), threading.Event()

    def handle_message(self, message: Any) -> None:
        if len(self.messages) == 2:
            self.hangs.set()
            assert self.released.wait(60)
        super().handle_message(message)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Hanging]:
    (tmp_path / MESSAGES_FILE).write_bytes(b'{"a":1}\n' * 4)
    sink = Hanging()
    yield sink
    sink.released.set()


def test_a_reader_that_hangs_is_reported_with_what_it_did_not_read(tmp_path: Path, hanging: Hanging) -> None:
    with following(tmp_path, hanging, stall_s=0.2):
        pass
    assert len(hanging.problems) == 1
    assert hanging.problems[0].startswith(
        "the messages after the first 16 bytes were not read: none was taken within 0.2 s."
    )


def test_a_step_that_ends_early_does_not_wait_for_a_reader_that_hangs(
    tmp_path: Path,
    hanging: Hanging,
) -> None:
    with pytest.raises(KeyboardInterrupt), following(tmp_path, hanging, stall_s=3600):
        raise KeyboardInterrupt
    assert "after the first 16 bytes were not read" in hanging.problems[0]


def test_the_wait_for_the_last_messages_can_be_interrupted(tmp_path: Path, hanging: Hanging) -> None:
    Thread(target=lambda: hanging.hangs.wait(60) and signal.raise_signal(signal.SIGINT), daemon=True).start()
    with pytest.raises(KeyboardInterrupt), held_back(), following(tmp_path, hanging, stall_s=3600):
        assert hanging.hangs.wait(60)
    assert "after the first 16 bytes were not read" in hanging.problems[0]


def test_a_slow_handler_is_waited_for(tmp_path: Path, hanging: Hanging) -> None:
    """The deadline counts while nothing is taken; all four together take longer."""
    hanging.released.set()
    take, pause = hanging.handle_message, threading.Event()

    def slowly(message: Any) -> None:
        pause.wait(0.1)
        take(message)

    hanging.handle_message = slowly  # type: ignore[method-assign]  # a fake at the boundary
    with following(tmp_path, hanging, stall_s=0.2):
        pass
    assert len(hanging.messages) == 4
    assert not hanging.problems


def test_what_is_beyond_the_limit_of_all_messages_is_not_read() -> None:
    sink = read([b'{"a":1}\n' * 6, b'{"a":1}\n' * 6], most=36)
    assert len(sink.messages) == 4
    assert sink.limits == {SizeReached("messages_bytes", 36, "it sent messages of")}
    assert not sink.problems, "the workload did not cut the line: the limit did"


def test_messages_up_to_the_limit_are_read() -> None:
    sink = read([b'{"a":1}\n' * 4], most=32)
    assert len(sink.messages) == 4
    assert not sink.limits


def test_a_hole_of_any_size_is_over_the_limit_at_once(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    with path.open("wb") as file:
        file.truncate(2**40)
    sink = Sink()
    with following(tmp_path, sink, limits=MessageLimits(2**20, 2**22)):
        pass
    assert sink.limits
    assert not sink.messages


def test_the_limits_hold_for_messages_in_the_output() -> None:
    sink, reader = Sink(), LogMessageReader(MessageLimits(100, 250))
    line = f'50 % {{{VERSION}, "method": "log", "params": {{"message": "?"}}}}'.encode()
    with reader.read_messages(sink):
        assert reader.take_line(line.replace(b"?", b"a"))
        assert reader.take_line(line.replace(b"?", b"b" * 50))
        assert not sink.limits
        assert reader.take_line(line.replace(b"?", b"c"))
    assert [message["params"]["message"] for message in sink.messages] == ["a"]
    assert len(sink.problems) == 1
    assert "is longer than the 100 bytes allowed" in sink.problems[0]
    assert sink.limits


def test_a_silent_step_is_looked_at_seldom_and_a_new_one_often() -> None:
    assert poll_s(0) == poll_s(1) == 0.02
    assert poll_s(10) == 0.1
    assert poll_s(3600) == 0.25


VERSION = '"__dagster_pipes_version": "0.1"'


@pytest.mark.parametrize(
    "line",
    [
        f'{{{VERSION}, "method": "log", "params": {{"message": "a"}}}}',
        f'{{"params": {{"message": "a"}}, "method": "log", {VERSION}}}',
        f'50 % {{}} {{"method": "log", {VERSION}, "params": {{"message": "a"}}}}',
    ],
)
def test_a_message_in_the_output_is_taken_whatever_the_order_of_its_members(line: str) -> None:
    """Java's maps may be ordered differently on each start."""
    sink, reader = Sink(), LogMessageReader()
    with reader.read_messages(sink):
        assert reader.take_line(line.encode())
    assert sink.messages == [{"__dagster_pipes_version": "0.1", "method": "log", "params": {"message": "a"}}]
    assert not sink.problems


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "reads __dagster_pipes_version",
        f'{{"inner": {{{VERSION}}}}}',
        f"[{{]{VERSION}",
        "{" * 100_000,
        '{"a":' * 100_000 + VERSION,
    ],
)
def test_output_that_is_no_message_stays_output(line: str) -> None:
    sink, reader = Sink(), LogMessageReader()
    with reader.read_messages(sink):
        assert not reader.take_line(line.encode())
    assert not sink.messages
    assert not sink.problems


@pytest.mark.parametrize(
    "line", [f'50 %{{{VERSION}, "method": "lo', f'{{"params": {{"message": "a"}}, {VERSION}, "met']
)
def test_a_half_written_message_in_the_output_is_reported(line: str) -> None:
    sink, reader = Sink(), LogMessageReader()
    with reader.read_messages(sink):
        assert reader.take_line(line.encode())
    assert len(sink.problems) == 1
