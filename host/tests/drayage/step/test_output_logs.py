"""A container's output: lines as a terminal shows them, in files, in the last lines and on the console."""

import io
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drayage.pipes.lines import LineSplitter, OverlongLine, TerminalLineSplitter, Update
from drayage.redaction import Redactor
from drayage.step.output import Console, OutputLog, OutputLogs, open_output_logs


class Log:
    """One stream, its file and its console in memory."""

    def __init__(self, secret: bytes = b"", *, taken: bytes = b"") -> None:
        self.file, self.stream = io.BytesIO(), io.StringIO()
        self.taken: list[bytes] = []
        intercept = (lambda line: line.startswith(taken) and not self.taken.append(line)) if taken else None
        redact = Redactor([secret] if secret else ())
        self.log = OutputLog(self.file, Console(self.stream), redact, intercept)

    def feed(self, *chunks: bytes) -> str:
        """Feed chunks, and return what they made the console show."""
        before = len(self.stream.getvalue())
        for chunk in chunks:
            self.log.feed(chunk)
        return self.stream.getvalue()[before:]


def test_a_progress_bar_leaves_its_last_state_and_is_shown_live() -> None:
    log = Log()
    assert [log.feed(b"%d%%\r" % percent) for percent in range(400)] == [f"{percent}%\r" for percent in range(400)]
    assert log.feed(b"\rKilled: out of frobs") == "Killed: out of frobs\r"
    log.log.finish()
    assert log.file.getvalue() == b"Killed: out of frobs"
    assert log.log.tail == ["Killed: out of frobs"]


def test_a_bar_that_writes_its_return_first_is_live_too() -> None:
    log = Log()
    assert [log.feed(b"\r 1%"), log.feed(b"\r 2%"), log.feed(b"\n")] == [" 1%\r", " 2%\r", " 2%\n"]
    assert log.file.getvalue() == b" 2%\n"


def test_many_states_in_one_chunk_are_shown_as_the_last() -> None:
    assert Log().feed(b"".join(b"%d%%\r" % percent for percent in range(400))) == "399%\r"


@pytest.mark.parametrize("wiped", [b"\r        \r", b"\r\x1b[2K\r", b"\r\x1b[K"])
def test_a_bar_that_wipes_itself_is_not_lost(wiped: bytes) -> None:
    log = Log()
    log.feed(b"99% of it" + wiped + b"\n")
    assert log.file.getvalue() == b"99% of it\n"


def test_a_carriage_return_before_a_newline_ends_the_line() -> None:
    log = Log()
    assert log.feed(b"one\r\ntwo\r", b"\n\r\n", b"three\r\r\n") == "one\ntwo\rtwo\n\nthree\n"
    assert log.file.getvalue() == b"one\r\ntwo\r\n\r\nthree\r\n"


def test_a_message_that_is_overwritten_is_delivered_once() -> None:
    log = Log(taken=b"{")
    log.feed(b"1%\r{a}\r2%\r{b}\n{c}\r\n{d}\r", b"\nrest\r{e}\r")
    log.log.finish()
    assert log.taken == [b"{a}", b"{b}", b"{c}\r", b"{d}\r", b"{e}"]
    assert log.file.getvalue() == b"2%\nrest"


def test_half_of_a_secret_is_not_shown() -> None:
    log = Log(b"hush-hush")
    assert log.feed(b"a\rkey: hush-", b"hush\r", b"b\n") == "a\rkey: [secret]\rb\n"


def test_a_state_without_an_end_is_kept_in_bounded_memory() -> None:
    log = Log()
    for _ in range(64):
        log.feed(b"x" * 2**20)
    log.log.feed(b"\r" * 2**20)
    log.feed(b"end\n")
    assert log.file.getvalue() == b"end\n"


def test_a_secret_that_a_long_line_is_cut_in_is_not_left() -> None:
    log = Log(b"hush-hush")
    log.feed(b"x" * (2**20 - 5) + b"hush-hush" + b"y" * 100 + b"\n")
    assert b"hush" not in log.file.getvalue()
    assert b"bytes of this line left out" in log.file.getvalue()


@given(
    pieces=st.lists(st.sampled_from([b"a", b"bc", b" ", b"\r", b"\n", b"\r\n", b"\x1b[K"]), max_size=30),
    cuts=st.lists(st.integers(0, 60)),
)
@settings(max_examples=500)
def test_lines_are_the_same_wherever_the_bytes_are_cut(pieces: list[bytes], cuts: list[int]) -> None:
    content = b"".join(pieces)
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})

    def lines(chunks: list[bytes]) -> list[bytes | None]:
        splitter = TerminalLineSplitter(100)
        found = [line for chunk in chunks for line in splitter.feed(chunk) if not isinstance(line, Update)]
        return [*found, splitter.finish()]

    whole = lines([content])
    assert lines([content[start:end] for start, end in pairwise(edges)]) == whole
    assert len(whole) == content.count(b"\n") + 1
    if b"\r" not in content:
        plain = LineSplitter(100)
        assert whole == [*plain.feed(content), plain.finish()]


def test_a_long_state_is_cut_as_a_long_line_is() -> None:
    splitter = TerminalLineSplitter(10)
    (line,) = [line for line in splitter.feed(b"a\r" + b"x" * 30 + b"\n") if not isinstance(line, Update)]
    assert isinstance(line, OverlongLine)
    assert (line, line.size_bytes) == (b"x" * 10, 30)


class Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("stream", [Broken(), "closed"])
def test_a_console_that_fails_loses_no_line_and_says_so(stream: io.StringIO | str, tmp_path: Path) -> None:
    """Raised here, the error would stop the thread that drains the container, and block the workload."""
    if isinstance(stream, str):
        stream = io.StringIO()
        stream.close()
    with (tmp_path / "out").open("wb") as file:
        out = OutputLog(file, Console(stream), Redactor(()), None)
        logs = OutputLogs(out, OutputLog(io.BytesIO(), Console(io.StringIO()), Redactor(()), None))
        for number in range(100):
            logs.feed("stdout", b"line %d\n" % number)
    assert (tmp_path / "out").read_bytes().count(b"\n") == 100
    assert logs.console_problem()


def test_a_console_that_knows_ascii_alone_shows_escapes(tmp_path: Path) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with (tmp_path / "out").open("wb") as file:
        log = OutputLog(file, Console(console), Redactor(()), None)
        log.feed("für\n".encode())
    assert console.buffer.getvalue() == b"f\\xfcr\n"  # type: ignore[attr-defined]  # it is a BytesIO
    assert log.console_problem is None


def test_both_streams_are_shown_where_they_belong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_output_logs(tmp_path / "out", tmp_path / "err", Redactor(())) as logs:
        logs.feed("stdout", b"out")
        logs.feed("stderr", b"err\n")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("out\n", "err\n")
    assert (tmp_path / "out").read_bytes() == b"out"
