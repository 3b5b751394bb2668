"""The copy of a container's messages: one thread appends to it, another reads it to the last byte."""

import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drayage.docker import mirror as mirror_module
from drayage.docker.mirror import Mirror
from drayage.errors import ExchangeError

DEADLINE_S = 20.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messages.jsonl"


@pytest.fixture
def mirror(path: Path) -> Iterator[Mirror]:
    made = Mirror(path)
    yield made
    made.close()


def later(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def test_what_is_appended_is_read_and_kept_for_its_owner_alone(path: Path, mirror: Mirror) -> None:
    mirror.append(b"one\n")
    mirror.append(b"two\n")
    assert [mirror.read(offset, timeout_s=0) for offset in (0, 4, 8)] == [b"one\ntwo\n", b"two\n", b""]
    assert (path.read_bytes(), mirror.size_bytes(), mirror.taken_bytes) == (b"one\ntwo\n", 8, 8)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_process_goes_on_at_its_end(path: Path, mirror: Mirror) -> None:
    assert mirror.is_new
    mirror.append(b"one\n")
    other = Mirror(path)
    assert (other.is_new, other.taken_bytes) == (False, 4)
    other.append(b"two\n")
    assert other.read(0, timeout_s=0) == b"one\ntwo\n"
    other.close()


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_what_stands_in_its_place_is_never_opened(path: Path, make: Callable[[Path], object]) -> None:
    make(path)
    with pytest.raises(ExchangeError):
        Mirror(path)


def test_a_reader_waits_for_what_comes(mirror: Mirror) -> None:
    threading.Timer(0.2, mirror.append, [b"late\n"]).start()
    assert mirror.read(0, timeout_s=DEADLINE_S) == b"late\n"


def test_after_the_end_a_reader_waits_for_what_is_on_its_way(mirror: Mirror) -> None:
    mirror.note_end(5)
    assert mirror.size_bytes() == 5
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


def test_it_does_not_run_ahead_of_its_reader(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that has reached the step's limit reads no more; the disk must not fill behind it."""
    monkeypatch.setattr(mirror_module, "_AHEAD_BYTES", 8)
    mirror.append(b"12345678")
    waiting = later(lambda: mirror.append(b"9"))
    waiting.join(0.2)
    assert waiting.is_alive()
    assert mirror.size_bytes() == 8
    mirror.read(4, timeout_s=0)
    waiting.join(DEADLINE_S)
    assert mirror.size_bytes() == 9


def test_closing_wakes_all_that_wait(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "_AHEAD_BYTES", 1)
    mirror.append(b"1")
    read: list[bytes] = []
    waiting = [later(lambda: mirror.append(b"2")), later(lambda: read.append(mirror.read(1, timeout_s=DEADLINE_S)))]
    time.sleep(0.1)
    with mirror.changed:
        mirror.closed = True
        mirror.changed.notify_all()
    for thread in waiting:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    assert read in ([b""], [b"2"])
