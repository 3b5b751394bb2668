"""What a remote mailbox brought is kept in the attempt's folder, and continued by another process."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drayage.errors import ExchangeError
from drayage.kubernetes.mirror import Mirror


def test_messages_are_read_from_any_offset_and_kept_for_the_owner_alone(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, waits=False)
    mirror.append(b"one\n")
    mirror.append(b"two\n")
    assert mirror.read(0, 0) == b"one\ntwo\n"
    assert mirror.read(4, 0) == b"two\n"
    assert mirror.read(8, 0) == b""
    assert mirror.size_bytes == 8
    assert stat.S_IMODE((tmp_path / "messages.jsonl").stat().st_mode) == 0o600
    mirror.close()


def test_another_process_goes_on_at_the_end(tmp_path: Path) -> None:
    first = Mirror(tmp_path, waits=False)
    first.append(b"one\n")
    first.close()
    second = Mirror(tmp_path, waits=False)
    assert (first.is_continued, second.is_continued) == (False, True)
    assert second.size_bytes == 4
    second.append(b"two\n")
    assert (tmp_path / "messages.jsonl").read_bytes() == b"one\ntwo\n"
    second.close()


def test_who_waits_is_woken_by_what_comes(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, waits=False)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(mirror.read, 0, 30)
        mirror.append(b"here")
        assert waiting.result(timeout=20) == b"here"
    mirror.close()


def test_a_context_is_kept_once(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, waits=False)
    mirror.reserve_context()
    assert mirror.context() is None
    assert mirror.keep_context(b"{}") == b"{}"
    assert mirror.keep_context(b"other") == b"{}"
    assert (tmp_path / "context.json").read_bytes() == b"{}"
    mirror.close()


def test_a_standby_shows_that_its_context_is_still_to_come(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, waits=True)
    assert (tmp_path / "context.json").is_fifo()
    assert mirror.context() is None
    mirror.keep_context(b"{}")
    assert mirror.context() == b"{}"
    mirror.close()


def test_what_cannot_be_kept_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="run the step again"):
        Mirror(tmp_path / "nowhere", waits=False)
    (tmp_path / "messages.jsonl").symlink_to("/dev/full")
    with pytest.raises(ExchangeError, match="regular file"):
        Mirror(tmp_path, waits=False)
