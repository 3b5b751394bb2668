"""The copy of a remote mailbox: one thread appends messages, another reads them to the last byte."""

import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drayage import mirror as mirror_module
from drayage.errors import ExchangeError
from drayage.mirror import Mirror

DEADLINE_S = 20.0


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    made = Mirror(tmp_path, waits=False, ahead_bytes=8)
    yield made
    made.close()


def later(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def test_what_is_appended_is_read_and_kept_for_its_owner_alone(tmp_path: Path, mirror: Mirror) -> None:
    mirror.append(b"one\n")
    mirror.append(b"two\n")
    assert [mirror.read(offset, timeout_s=0) for offset in (0, 4, 8)] == [b"one\ntwo\n", b"two\n", b""]
    path = tmp_path / "messages.jsonl"
    assert (path.read_bytes(), mirror.size_bytes(), mirror.taken_bytes) == (b"one\ntwo\n", 8, 8)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_process_goes_on_at_its_end(tmp_path: Path, mirror: Mirror) -> None:
    assert mirror.is_new
    mirror.append(b"one\n")
    other = Mirror(tmp_path, waits=False, ahead_bytes=None)
    assert (other.is_new, other.taken_bytes) == (False, 4)
    other.append(b"two\n")
    assert other.read(0, timeout_s=0) == b"one\ntwo\n"
    other.close()


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/dev/full")])
def test_what_stands_in_its_place_is_never_opened(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "messages.jsonl")
    with pytest.raises(ExchangeError, match="regular file"):
        Mirror(tmp_path, waits=False, ahead_bytes=None)


def test_one_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match=r"cannot be made.*run the step again"):
        Mirror(tmp_path / "nowhere", waits=False, ahead_bytes=None)
    (tmp_path / "context.json").touch()
    with pytest.raises(ExchangeError, match="cannot be made: File exists"):
        Mirror(tmp_path, waits=True, ahead_bytes=None)


def test_a_full_disk_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(tmp_path)], check=True)  # noqa: S603, S607 - ours
    try:
        mirror = Mirror(tmp_path, waits=False, ahead_bytes=None)
        mirror.append(b"one\n")
        with pytest.raises(ExchangeError, match=r"No space left on device. Free some space there, and run the step"):
            mirror.append(b"x" * 8192)
        kept = (tmp_path / "messages.jsonl").read_bytes()
        assert kept == b"one\n" + (len(kept) - 4) * b"x", "what was kept is what came"
        mirror.close()
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)  # noqa: S603, S607 - ours


def test_a_reader_waits_for_what_comes(mirror: Mirror) -> None:
    threading.Timer(0.2, mirror.append, [b"late\n"]).start()
    assert mirror.read(0, timeout_s=DEADLINE_S) == b"late\n"


def test_after_the_end_a_reader_waits_for_what_is_on_its_way(mirror: Mirror) -> None:
    mirror.note_end(5)
    assert (mirror.knows_end, mirror.size_bytes()) == (True, 5)
    threading.Timer(0.2, mirror.append, [b"late\n"]).start()
    assert mirror.read(0, timeout_s=0) == b"late\n"
    assert mirror.read(5, timeout_s=0) == b""


def test_what_does_not_come_after_the_end_is_an_error(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "_REST_DEADLINE_S", 0.2)
    mirror.append(b"one\n")
    mirror.note_end(9)
    assert mirror.read(0, timeout_s=0) == b"one\n"
    with pytest.raises(ExchangeError, match="5 bytes of messages after the first 4 did not come"):
        mirror.read(4, timeout_s=0)


def test_an_end_before_what_was_taken_is_an_error(mirror: Mirror) -> None:
    mirror.append(b"one\n")
    mirror.note_end(0)
    assert mirror.read(0, timeout_s=0) == b"one\n", "what came is read"
    with pytest.raises(ExchangeError, match="truncated or replaced"):
        mirror.read(4, timeout_s=0)


def test_a_problem_reaches_a_reader_that_waits(mirror: Mirror) -> None:
    threading.Timer(0.2, mirror.fail, ["it is gone"]).start()
    with pytest.raises(ExchangeError, match="it is gone"):
        mirror.read(0, timeout_s=DEADLINE_S)
    mirror.fail("another")
    with pytest.raises(ExchangeError, match="it is gone"):
        mirror.read(0, timeout_s=0)


def test_it_does_not_run_ahead_of_its_reader(mirror: Mirror) -> None:
    """A reader that has reached the step's limit reads no more; the disk must not fill behind it."""
    mirror.append(b"12345678")
    waiting = later(lambda: mirror.append(b"9"))
    waiting.join(0.2)
    assert waiting.is_alive()
    assert mirror.size_bytes() == 8
    mirror.read(4, timeout_s=0)
    waiting.join(DEADLINE_S)
    assert mirror.size_bytes() == 9


def test_without_a_bound_it_needs_no_reader(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, waits=False, ahead_bytes=None)
    writing = later(lambda: [mirror.append(2**20 * b"x") for _ in range(100)])
    writing.join(DEADLINE_S)
    assert mirror.taken_bytes == 100 * 2**20
    mirror.close()


@pytest.mark.parametrize("wait", [lambda it: it.append(b"9"), lambda it: it.read(8, timeout_s=DEADLINE_S)])
def test_stopping_wakes_who_waits(mirror: Mirror, wait: Callable[[Mirror], object]) -> None:
    mirror.append(b"12345678")
    waiting = later(lambda: wait(mirror))
    waiting.join(0.1)
    assert waiting.is_alive()
    mirror.stop()
    waiting.join(DEADLINE_S / 2)
    assert not waiting.is_alive()
    mirror.append(b"late")
    assert mirror.size_bytes() == 8


def test_a_context_is_kept_once(tmp_path: Path, mirror: Mirror) -> None:
    assert mirror.context() is None
    (tmp_path / "context.json").touch()
    assert mirror.context() is None, "an empty file only keeps the place"
    assert mirror.keep_context(b"{}") == b"{}"
    assert mirror.keep_context(b"other") == b"{}"
    assert (tmp_path / "context.json").read_bytes() == b"{}"
    assert stat.S_IMODE((tmp_path / "context.json").stat().st_mode) == 0o600


def test_a_standby_shows_that_its_context_is_still_to_come(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, waits=True, ahead_bytes=None)
    assert (tmp_path / "context.json").is_fifo()
    assert mirror.context() is None
    again = Mirror(tmp_path, waits=True, ahead_bytes=None)
    assert (tmp_path / "context.json").is_fifo()
    assert again.keep_context(b"{}") == mirror.context() == b"{}"
    mirror.close()
    again.close()


def test_a_context_that_cannot_be_written_says_what_to_do(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "context.json").mkdir()
    with pytest.raises(ExchangeError, match=r"The context cannot be written.*run the step again"):
        mirror.keep_context(b"{}")
