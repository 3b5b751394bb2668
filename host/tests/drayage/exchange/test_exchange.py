"""The exchange directory: open to every user id in the container, closed outside, never used twice."""

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from drayage import ExchangeError
from drayage.exchange.directory import Attempt, Exchange
from drayage.identity import Identity, slug
from drayage.mailbox import FolderMailbox
from drayage.pipes.session import MailboxInjector
from drayage.strangers import open_regular


def test_only_io_is_open_to_other_users(tmp_path: Path) -> None:
    attempt = Exchange(tmp_path).create("run/step/0")
    mailbox = FolderMailbox(attempt.io)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (attempt.path, attempt.io, attempt.messages)}
    assert modes == {attempt.path: 0o700, attempt.io: 0o755, attempt.messages: 0o666}
    with MailboxInjector(mailbox, attempt).inject_context({"run_id": "r"}) as params:  # type: ignore[typeddict-item]
        assert params == {"path": "/drayage/io/context.json"}
    assert stat.S_IMODE(attempt.context.stat().st_mode) == 0o644
    assert json.loads(attempt.context.read_text()) == {"run_id": "r"}
    mailbox.collect()


def test_an_attempt_never_reuses_the_directory_of_another(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    assert [exchange.create("run/step/0").name for _ in range(2)] == ["run/step/0", "run/step/0.2"]
    found = exchange.open("run/step/0")
    assert found is not None
    assert found.io.is_dir()
    assert exchange.open("run/step/7") is None


def test_a_root_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExchangeError, match=r"Not a directory\. Set DRAYAGE_EXCHANGE_ROOT"):
        Exchange(tmp_path / "file").create("run/step/0")


def test_a_root_that_is_full_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ExchangeError, match=r"No space left on device\. Free some space there, or set DRAYAGE"):
        Exchange(tmp_path).create("run/step/0")


def test_all_kinds_of_step_keys_become_distinct_safe_names() -> None:
    keys = ["a", "a[1]", "a-1", "a/1", "../a", "x" * 300, "x" * 301]
    names = [slug(key) for key in keys]
    assert len(set(names)) == len(keys)
    assert not any("/" in name or name.startswith(".") or len(name) > 100 for name in names)


def test_containers_of_one_step_differ_by_attempt_and_call() -> None:
    identities = [Identity("d", "run", "root", "step", attempt, call) for attempt in (0, 1) for call in (0, 1)]
    assert len({identity.container_name(None) for identity in identities}) == 4
    assert len({identity.directory for identity in identities}) == 4


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Exchange(tmp_path).create("run/step/0")


def link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def second_name(path: Path) -> None:
    path.touch()
    path.with_name("other").hardlink_to(path)


REPLACEMENTS: list[Callable[[Path], object]] = [link, second_name, os.mkfifo, Path.mkdir]


@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
@pytest.mark.parametrize("replace", REPLACEMENTS, ids=["link", "second name", "pipe", "folder"])
def test_nothing_but_a_file_is_opened(attempt: Attempt, replace: Callable[[Path], object], *, write: bool) -> None:
    """A link would give the host's files away, and a pipe without a writer would hang the host."""
    attempt.messages.unlink(missing_ok=True)
    replace(attempt.messages)
    with pytest.raises(ExchangeError, match="not a regular file"):
        open_regular(attempt.messages, write=write)


def test_a_file_in_a_linked_folder_is_not_opened(attempt: Attempt, tmp_path: Path) -> None:
    attempt.messages.unlink(missing_ok=True)
    attempt.io.rmdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "messages.jsonl").touch()
    attempt.io.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExchangeError, match="not a regular file"):
        open_regular(attempt.messages)


@pytest.mark.parametrize("replace", [link, second_name, Path.mkdir], ids=["link", "second name", "folder"])
def test_a_context_that_was_replaced_is_refused(attempt: Attempt, replace: Callable[[Path], object]) -> None:
    replace(attempt.context)
    with pytest.raises(ExchangeError, match="not a regular file"):
        attempt.read_context()


def test_a_context_that_is_not_written_yet_is_none(attempt: Attempt) -> None:
    assert attempt.read_context() is None
    attempt.context.touch()
    assert attempt.read_context() is None, "a place was made for it, and the host was killed"
    attempt.context.unlink()
    os.mkfifo(attempt.context)
    assert attempt.read_context() is None


def test_messages_are_scrubbed_in_the_file_that_the_container_has_mounted(attempt: Attempt) -> None:
    attempt.messages.write_bytes(b"one\nhush-hush\nthree\n")
    before = attempt.messages.stat().st_ino
    attempt.scrub_messages(lambda file: [line.replace(b"hush-hush", b"[secret]") for line in file])
    assert attempt.messages.read_bytes() == b"one\n[secret]\nthree\n"
    assert attempt.messages.stat().st_ino == before
    assert sorted(path.name for path in attempt.path.iterdir()) == ["io"]


def test_messages_that_were_replaced_are_not_scrubbed(attempt: Attempt, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("of the host")
    attempt.messages.unlink(missing_ok=True)
    attempt.messages.symlink_to(victim)
    with pytest.raises(ExchangeError, match="not a regular file"):
        attempt.scrub_messages(lambda _file: [])
    assert victim.read_text() == "of the host"
