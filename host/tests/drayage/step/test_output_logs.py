"""A container's output: lines as a terminal shows them, in files, in the last lines and on the console."""

import errno
import io
import os
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drayage.errors import ExchangeError
from drayage.pipes.lines import LineSplitter, OverlongLine, TerminalLineSplitter, Update
from drayage.redaction import Redactor
from drayage.step.console import Console
from drayage.step.log_file import Allowance, LogFile
from drayage.step.losses import Losses
from drayage.step.output import OutputLog, open_output_logs


class Kept(io.BytesIO):
    """A file in memory that can be read after it was closed."""

    def __init__(self, room_bytes: int = 2**30) -> None:
        super().__init__()
        self.room_bytes = room_bytes
        self.content = b""

    def write(self, content: Any) -> int:
        taken = bytes(content[: self.room_bytes])
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room_bytes -= len(taken)
        self.content += taken
        return len(taken)


class Shown(Console):
    """A console whose text is there when ``show`` returns."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.text = ""

    def show(self, text: str) -> None:
        self.text += text


class Log:
    """One stream, its file and its console in memory."""

    def __init__(
        self,
        secret: bytes = b"",
        *,
        taken: bytes = b"",
        limit_bytes: int = 2**30,
        room_bytes: int = 2**30,
        adapter: Any = None,
        redact: Any = None,
        intercept: Any = None,
    ) -> None:
        self.file, self.console, self.losses = Kept(room_bytes), Shown(), Losses()
        self.taken: list[bytes] = []
        if taken:
            intercept = lambda line: line.startswith(taken) and not self.taken.append(line)  # noqa: E731 - short
        allowance = Allowance(limit_bytes)
        self.log = OutputLog(
            LogFile(self.file, "stdout.log", allowance=allowance, losses=self.losses),
            self.console,
            redact or Redactor([secret] if secret else ()),
            self.losses,
            updates=Allowance(limit_bytes),
            intercept=intercept,
            adapter=adapter,
        )

    def feed(self, *chunks: bytes) -> str:
        """Feed chunks, and return what they made the console show."""
        before = len(self.console.text)
        for chunk in chunks:
            self.log.feed(chunk)
        return self.console.text[before:]


def test_a_progress_bar_leaves_its_last_state_and_is_shown_live() -> None:
    log = Log()
    assert [log.feed(b"%d%%\r" % percent) for percent in range(400)] == [f"{percent}%\r" for percent in range(400)]
    assert log.feed(b"\rKilled: out of frobs") == "Killed: out of frobs\r"
    log.log.finish()
    assert log.file.content == b"Killed: out of frobs"
    assert log.log.tail == ["Killed: out of frobs"]


def test_a_bar_that_writes_its_return_first_is_live_too() -> None:
    log = Log()
    assert [log.feed(b"\r 1%"), log.feed(b"\r 2%"), log.feed(b"\n")] == [" 1%\r", " 2%\r", " 2%\n"]
    assert log.file.content == b" 2%\n"


def test_many_states_in_one_chunk_are_shown_as_the_last() -> None:
    assert Log().feed(b"".join(b"%d%%\r" % percent for percent in range(400))) == "399%\r"


@pytest.mark.parametrize("wiped", [b"\r        \r", b"\r\x1b[2K\r", b"\r\x1b[K"])
def test_a_bar_that_wipes_itself_is_not_lost(wiped: bytes) -> None:
    log = Log()
    log.feed(b"99% of it" + wiped + b"\n")
    assert log.file.content == b"99% of it\n"


def test_a_carriage_return_before_a_newline_ends_the_line() -> None:
    log = Log()
    assert log.feed(b"one\r\ntwo\r", b"\n\r\n", b"three\r\r\n") == "one\ntwo\rtwo\n\nthree\n"
    assert log.file.content == b"one\r\ntwo\r\n\r\nthree\r\n"


def test_a_message_that_is_overwritten_is_delivered_once() -> None:
    log = Log(taken=b"{")
    log.feed(b"1%\r{a}\r2%\r{b}\n{c}\r\n{d}\r", b"\nrest\r{e}\r")
    log.log.finish()
    assert log.taken == [b"{a}", b"{b}", b"{c}\r", b"{d}\r", b"{e}"]
    assert log.file.content == b"2%\nrest"


def test_half_of_a_secret_is_not_shown() -> None:
    log = Log(b"hush-hush")
    assert log.feed(b"a\rkey: hush-", b"hush\r", b"b\n") == "a\rkey: [secret]\rb\n"


def test_a_state_without_an_end_is_kept_in_bounded_memory() -> None:
    log = Log()
    for _ in range(64):
        log.feed(b"x" * 2**20)
    log.log.feed(b"\r" * 2**20)
    log.feed(b"end\n")
    assert log.file.content == b"end\n"


def test_a_secret_that_a_long_line_is_cut_in_is_not_left() -> None:
    log = Log(b"hush-hush")
    log.feed(b"x" * (2**20 - 5) + b"hush-hush" + b"y" * 100 + b"\n")
    assert b"hush" not in log.file.content
    assert b"bytes of this line left out" in log.file.content


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


@given(
    pieces=st.lists(st.sampled_from([b"a", b"f\xc3\xbcr", b"\xc3", b"\n", b"\n", b"b\n" * 40, b"\r"]), max_size=30),
    cuts=st.lists(st.integers(0, 200)),
    limit_bytes=st.sampled_from([20, 2**30]),
)
@settings(max_examples=500)
def test_whole_lines_are_kept_as_single_ones_are(pieces: list[bytes], cuts: list[int], limit_bytes: int) -> None:
    content = b"".join(pieces)
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    # Where lines are searched for a secret, they are taken one by one.
    whole, single = Log(limit_bytes=limit_bytes), Log(redact=lambda line: line, limit_bytes=limit_bytes)
    for log in (whole, single):
        for start, end in pairwise(edges):
            log.feed(content[start:end])
        log.log.finish()
    assert whole.file.content == single.file.content
    assert whole.log.tail == single.log.tail
    assert whole.losses.notes == single.losses.notes
    if b"\r" not in content:
        assert whole.console.text == single.console.text


def test_a_long_state_is_cut_as_a_long_line_is() -> None:
    splitter = TerminalLineSplitter(10)
    (line,) = [line for line in splitter.feed(b"a\r" + b"x" * 30 + b"\n") if not isinstance(line, Update)]
    assert isinstance(line, OverlongLine)
    assert (line, line.size_bytes) == (b"x" * 10, 30)


class Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


class Odd(io.StringIO):
    def write(self, _text: str) -> int:
        raise RuntimeError("not a stream's error")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize(
    ("stream", "says"),
    [(Broken(), "BrokenPipeError: [Errno 32] Broken pipe"), (closed(), "ValueError"), (Odd(), "RuntimeError: not a")],
)
def test_a_console_that_fails_loses_no_line_and_is_noted(
    stream: io.StringIO, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step under ``| head -1`` is as good as any other: its output is whole in the file."""
    monkeypatch.setattr("sys.stdout", stream)
    losses = Losses()
    with open_output_logs(tmp_path / "out", tmp_path / "err", Redactor(()), losses=losses) as logs:
        for number in range(100):
            logs.feed("stdout", b"line %d\n" % number)
    assert (tmp_path / "out").read_bytes().count(b"\n") == 100
    assert losses.count == 0
    (note,) = losses.notes
    assert says in note
    assert str(tmp_path / "out") in note


def test_a_console_that_knows_ascii_alone_shows_escapes(tmp_path: Path) -> None:
    path = tmp_path / "console"
    with path.open("w", encoding="ascii") as stream:
        stream.write("before\n")
        console = Console(stream)
        console.show("für\n")
        console.finish()
    assert path.read_bytes() == b"before\nf\\xfcr\n"
    assert console.problem is None


@pytest.mark.parametrize("text", ["x" * 2**22, "x"])
def test_a_pipe_that_nobody_reads_stops_the_output_for_seconds_at_most(text: str) -> None:
    reading, writing = os.pipe()
    # Full from the start.
    os.set_blocking(writing, False)
    with open(writing, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        try:
            while True:
                os.write(writing, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(writing, True)
        console = Console(stream, patience_s=0.1)
        for _ in range(3):
            console.show(text)
        console.finish()
        assert console.problem == "it stalled for 0.1 s"
        console.show("more")
        os.close(reading)


def test_a_console_that_is_slow_shows_everything() -> None:
    """A pause is no failure: a terminal's user may scroll, and a disk may be busy."""
    reading, writing = os.pipe()
    # As another program may have made it.
    os.set_blocking(writing, False)
    got = bytearray()

    def read() -> None:
        time.sleep(0.2)
        while chunk := os.read(reading, 2**20):
            got.extend(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    with open(writing, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        console = Console(stream, patience_s=30.0)
        for number in range(400):
            console.show(f"{number:9}\n" * 1000)
        console.finish()
    reader.join()
    os.close(reading)
    assert console.problem is None
    assert bytes(got).split() == [b"%d" % number for number in range(400) for _ in range(1000)]


def test_a_full_disk_is_a_loss_and_the_stream_is_read_on() -> None:
    log = Log(room_bytes=10)
    shown = log.feed(b"12345\n12345\n", b"more\n")
    log.log.finish()
    assert shown == "12345\n12345\nmore\n"
    assert log.log.tail == ["12345", "12345", "more"]
    assert log.file.content == b"12345\n1234"
    assert log.losses.first == ("stdout.log took no more after 10 bytes (No space left on device)",)


class Fails:
    """A consumer of any kind that fails at one line, and takes all others."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def __call__(self, line: bytes) -> Any:
        self.lines.append(bytes(line))
        if line == b"bad":
            raise RuntimeError("oh")
        return line

    def take_line(self, line: bytes) -> None:
        self(line)

    def take(self, line: bytes) -> bool:
        self(line)
        return False


@pytest.mark.parametrize("role", ["adapter", "redact", "intercept"])
def test_a_consumer_that_fails_is_a_loss_and_the_stream_is_read_on(role: str) -> None:
    failing = Fails()
    log = Log(**{role: failing.take if role == "intercept" else failing})
    log.feed(b"one\nbad\nth", b"ree\n")
    log.log.finish()
    assert failing.lines == [b"one", b"bad", b"three"]
    assert log.losses.count == 1
    assert "RuntimeError: oh" in log.losses.first[0]
    # What could not be redacted may hold a secret.
    assert log.file.content == (b"one\nthree\n" if role == "redact" else b"one\nbad\nthree\n")


def test_a_failure_outside_any_line_is_a_loss_too() -> None:
    """A state that is overwritten is redacted before there is a line."""
    log = Log(redact=Fails())
    log.feed(b"bad\r", b"good\n")
    assert log.losses.first == ("4 bytes for stdout.log were not all read (RuntimeError: oh)",)
    assert log.file.content == b"good\n"


FAILURES = {98: RecursionError("too deep"), 99: OSError(errno.ENOSPC, "No space left on device")}


class Reads(Fails):
    """An adapter."""

    def __init__(self) -> None:
        super().__init__()
        self.exit_codes: list[int] = []
        self.is_abandoned = False

    def abandon(self) -> None:
        self.is_abandoned = True

    def end(self, exit_code: int) -> None:
        if exit_code in FAILURES:
            raise FAILURES[exit_code]
        self.exit_codes.append(exit_code)


@pytest.mark.parametrize(("line", "reported"), [(b"good\n", [0]), (b"bad\n", [])])
def test_an_adapter_that_failed_reports_nothing(line: bytes, reported: list[int], tmp_path: Path) -> None:
    """What it has read may be wrong."""
    adapter: Any = Reads()
    losses = Losses()
    with open_output_logs(tmp_path / "out", tmp_path / "err", Redactor(()), losses=losses, adapter=adapter) as logs:
        logs.feed("stdout", b"rows=1\n" + line)
        logs.end(0)
    assert (adapter.exit_codes, adapter.is_abandoned) == (reported, not reported)
    assert losses.count == (0 if reported else 1)


def test_an_adapter_reports_nothing_if_output_was_lost_on_its_way(tmp_path: Path) -> None:
    adapter: Any = Reads()
    losses = Losses()
    with open_output_logs(tmp_path / "out", tmp_path / "err", Redactor(()), losses=losses, adapter=adapter) as logs:
        logs.feed("stdout", b"rows=1\n")
        logs.lose("the engine hung up")
        logs.end(0)
    assert adapter.exit_codes == []
    assert losses.first == ("the engine hung up",)


@pytest.mark.parametrize("exit_code", FAILURES)
def test_an_adapter_that_cannot_report_is_a_loss(tmp_path: Path, exit_code: int) -> None:
    adapter: Any = Reads()
    losses = Losses()
    with open_output_logs(tmp_path / "out", tmp_path / "err", Redactor(()), losses=losses, adapter=adapter) as logs:
        logs.end(exit_code)
    assert losses.count == 1


def test_what_is_beyond_the_limit_is_left_out_but_for_the_last_lines() -> None:
    log = Log(limit_bytes=50)
    shown = log.feed(*(b"line %03d\n" % number for number in range(100)))
    log.log.finish()
    lines = log.file.content.decode().splitlines()
    assert lines[:5] == [f"line {number:03}" for number in range(5)]
    assert "longer than output_bytes, 50 bytes" in lines[5]
    assert lines[6] == "[drayage: 95 lines, 855 bytes, were left out; the last 30 are:]"
    assert lines[7:] == [f"line {number:03}" for number in range(70, 100)]
    # Compute logs are on a disk too.
    assert shown.count("\n") == 6
    assert log.console.text == log.file.content.decode()
    assert log.losses.count == 0
    assert log.losses.notes == (
        "95 lines, 855 bytes, were left out of stdout.log: the output is longer than output_bytes, 50 bytes",
    )


def test_a_line_beyond_the_limit_is_there_once() -> None:
    log = Log(limit_bytes=10)
    log.feed(b"one\ntwo\nthree\n")
    log.log.finish()
    assert log.file.content.decode().splitlines()[-1] == "three"
    assert log.file.content.count(b"two") == 1


def test_both_streams_share_the_limit(tmp_path: Path) -> None:
    losses = Losses()
    with open_output_logs(tmp_path / "out", tmp_path / "err", Redactor(()), losses=losses, limit_bytes=100) as logs:
        logs.feed("stdout", b"x" * 98 + b"\n")
        logs.feed("stderr", b"an error\n")
    assert (tmp_path / "out").stat().st_size == 99
    assert "left out of" in losses.notes[0]
    assert (tmp_path / "err").read_text().splitlines()[-1] == "an error"


def test_states_of_a_progress_bar_fill_no_disk() -> None:
    log = Log(limit_bytes=10)
    assert log.feed(*(b"%d%%\r" % percent for percent in range(100))) == "0%\r1%\r2%\r3%\r4%\r"


def test_the_end_does_not_wait_for_a_consumer_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drayage.step.output._BUSY_DEADLINE_S", 0.05)
    losses, go_on, hangs = Losses(), threading.Event(), threading.Event()

    def intercept(_line: bytes) -> bool:
        hangs.set()
        return not go_on.wait(60)

    with open_output_logs(tmp_path / "o", tmp_path / "e", Redactor(()), losses=losses, intercept=intercept) as logs:
        reader = threading.Thread(target=lambda: logs.feed("stdout", b"line\n"))
        reader.start()
        hangs.wait(60)
        logs.end(0)
    assert "not read to its end" in losses.first[0]
    go_on.set()
    reader.join()


def test_what_comes_after_the_end_is_a_loss(tmp_path: Path) -> None:
    losses = Losses()
    with open_output_logs(tmp_path / "out", tmp_path / "err", Redactor(()), losses=losses) as logs:
        logs.end(0)
        logs.feed("stdout", b"late\n")
    assert losses.first == ("5 bytes of stdout came after the end",)


def test_a_log_that_cannot_be_opened_says_where(tmp_path: Path) -> None:
    with (
        pytest.raises(ExchangeError, match=r"gone/out cannot be opened: No such file"),
        open_output_logs(tmp_path / "gone" / "out", tmp_path / "err", Redactor(())),
    ):
        pass


def test_both_streams_are_shown_where_they_belong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_output_logs(tmp_path / "out", tmp_path / "err", Redactor(())) as logs:
        logs.feed("stdout", b"out")
        logs.feed("stderr", b"err\n")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("out\n", "err\n")
    assert (tmp_path / "out").read_bytes() == b"out"
