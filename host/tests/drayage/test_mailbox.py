"""A mailbox of two files: nothing that a workload does to them reaches another file of the host, or blocks it."""

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drayage import mailbox as mailbox_module
from drayage.errors import ExchangeError
from drayage.mailbox import WORKLOAD_CONTEXT, WORKLOAD_FOLDER, WORKLOAD_MESSAGES, FolderMailbox

CONTEXT = b'{"run_id": "r"}'
DEADLINE_S = 20.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "attempt" / "io"
    folder.mkdir(parents=True)
    return folder


Opening = Callable[..., FolderMailbox]


@pytest.fixture
def opened(folder: Path) -> Iterator[Opening]:
    """Return a function that opens the mailbox in the folder."""
    with contextlib.ExitStack() as stack:

        def open_mailbox(**settings: bool) -> FolderMailbox:
            mailbox = FolderMailbox(folder, **settings)
            stack.callback(mailbox.collect)
            return mailbox

        yield open_mailbox


@pytest.fixture
def mailbox(opened: Opening) -> FolderMailbox:
    return opened()


@pytest.fixture
def waiting(opened: Opening) -> FolderMailbox:
    return opened(waits=True)


class Reader:
    """Reads a context as a workload does: opens the file and reads to its end."""

    def __init__(self, folder: Path) -> None:
        self.read: list[bytes] = []
        context = folder / "context.json"
        self._thread = threading.Thread(target=lambda: self.read.append(context.read_bytes()), daemon=True)
        self._thread.start()

    def has_ended(self, timeout_s: float = DEADLINE_S) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


def mounts(mailbox: FolderMailbox) -> dict[str, bool]:
    return {mount.target: mount.read_only for mount in mailbox.spec_part()}


def test_a_container_has_the_two_files_and_may_write_to_one(folder: Path, mailbox: FolderMailbox) -> None:
    assert mounts(mailbox) == {WORKLOAD_MESSAGES: False}, "a step's own injector needs no context file"
    mailbox.put_context(CONTEXT)
    assert mounts(mailbox) == {WORKLOAD_CONTEXT: True, WORKLOAD_MESSAGES: False}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"context.json": 0o644, "messages.jsonl": 0o666}, "the workload may run as any user"


def test_a_place_for_the_context_is_mounted_before_the_context_is_known(
    folder: Path, mailbox: FolderMailbox, opened: Opening
) -> None:
    mailbox.reserve_context()
    assert mounts(mailbox) == {WORKLOAD_CONTEXT: True, WORKLOAD_MESSAGES: False}
    opened().put_context(CONTEXT)
    opened().put_context(b"another")
    mailbox.put_context(b"another")
    assert (folder / "context.json").read_bytes() == CONTEXT, "what was put in stays"
    assert stat.S_IMODE((folder / "context.json").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Free some space there, and run"),
        (errno.EDQUOT, "Free some space there, and run"),
        (errno.EACCES, "Let the user of this process write there, and run"),
        (errno.ENOENT, "let nothing but `drayage sweep` remove it, and run"),
    ],
)
def test_the_advice_fits_what_failed(
    opened: Opening, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    mailbox = opened()
    monkeypatch.setattr(mailbox_module, "write_whole", refuse)
    with pytest.raises(ExchangeError, match=f"cannot be written.*{os.strerror(number)}.*{advice}"):
        mailbox.put_context(CONTEXT)
    monkeypatch.setattr(os, "mkfifo", refuse)
    with pytest.raises(ExchangeError, match=f"cannot be made.*{os.strerror(number)}.*{advice}"):
        opened(waits=True)


def test_every_user_may_read_the_context_whatever_the_hosts_own_mask_is(folder: Path, opened: Opening) -> None:
    mask = os.umask(0o077)
    try:
        opened().put_context(CONTEXT)
    finally:
        os.umask(mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"context.json": 0o644, "messages.jsonl": 0o666}


def test_one_that_waits_has_the_folder_which_it_cannot_write_to(waiting: FolderMailbox) -> None:
    assert mounts(waiting) == {WORKLOAD_FOLDER: True, WORKLOAD_MESSAGES: False}


def test_one_whose_host_writes_the_messages_can_write_to_nothing(opened: Opening) -> None:
    mailbox = opened(receives=False)
    mailbox.put_context(CONTEXT)
    assert mounts(mailbox) == {WORKLOAD_CONTEXT: True, WORKLOAD_MESSAGES: True}


def test_messages_are_read_from_any_offset(folder: Path, mailbox: FolderMailbox) -> None:
    assert mailbox.read(0, timeout_s=0) == b""
    (folder / "messages.jsonl").write_bytes(b"one\ntwo\n")
    assert [mailbox.read(offset, timeout_s=0) for offset in (0, 4, 8)] == [b"one\ntwo\n", b"two\n", b""]


def test_reading_waits_for_what_comes(folder: Path, mailbox: FolderMailbox) -> None:
    threading.Timer(0.2, (folder / "messages.jsonl").write_bytes, [b"late\n"]).start()
    assert mailbox.read(0, timeout_s=DEADLINE_S) == b"late\n"
    begun_at = time.monotonic()
    assert mailbox.read(5, timeout_s=0.2) == b""
    assert time.monotonic() - begun_at >= 0.2


def truncate(path: Path) -> None:
    os.truncate(path, 2)


def replace(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"other\n")


@pytest.mark.parametrize("harm", [truncate, replace, Path.unlink])
def test_messages_that_became_shorter_or_others_are_an_error(
    folder: Path, mailbox: FolderMailbox, harm: Callable[[Path], object]
) -> None:
    (folder / "messages.jsonl").write_bytes(b"one\n")
    assert mailbox.read(0, timeout_s=0) == b"one\n"
    harm(folder / "messages.jsonl")
    with pytest.raises(ExchangeError):
        mailbox.read(4, timeout_s=0)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_what_stands_in_the_place_of_messages_is_never_opened(folder: Path, make: Callable[[Path], object]) -> None:
    """A host that adopts a container opens what another host made, and what a workload had."""
    make(folder / "messages.jsonl")
    with pytest.raises(ExchangeError):
        FolderMailbox(folder)


def test_another_process_goes_on_with_the_same_messages(folder: Path, opened: Opening) -> None:
    opened().put_context(CONTEXT)
    (folder / "messages.jsonl").write_bytes(b"one\n")
    other = opened()
    other.put_context(b"another")
    assert other.read(0, timeout_s=0) == b"one\n"
    assert (folder / "context.json").read_bytes() == CONTEXT, "the container has it mounted"


@pytest.mark.parametrize("context", [CONTEXT, b"x" * 1_000_000], ids=["small", "larger than a pipe"])
def test_a_reader_that_comes_early_waits(folder: Path, waiting: FolderMailbox, context: bytes) -> None:
    reader = Reader(folder)
    assert not reader.has_ended(0.2)
    waiting.put_context(context)
    assert reader.has_ended()
    assert reader.read == [context]


def test_a_reader_that_comes_later_finds_a_file(folder: Path, waiting: FolderMailbox) -> None:
    waiting.put_context(CONTEXT)
    for _ in range(2):
        assert (folder / "context.json").read_bytes() == CONTEXT
    assert stat.S_IMODE((folder / "context.json").stat().st_mode) == 0o644
    waiting.collect()
    assert [path.name for path in folder.parent.iterdir()] == ["io"]


@pytest.mark.usefixtures("waiting")
def test_every_user_may_read_it_while_it_is_held_back(folder: Path) -> None:
    status = (folder / "context.json").stat()
    assert stat.S_ISFIFO(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o644


def test_collecting_stops_waiting_for_readers(waiting: FolderMailbox) -> None:
    waiting.put_context(CONTEXT)
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "drayage-context")
    thread.join(0.2)
    assert thread.is_alive(), "it has looked for a reader meanwhile, and there is none"
    waiting.collect()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_a_stalled_reader_blocks_nothing(folder: Path, waiting: FolderMailbox) -> None:
    go_on, went_on = threading.Event(), []

    def stall() -> None:
        with (folder / "context.json").open() as context:
            went_on.append(go_on.wait(DEADLINE_S))
            context.read()

    reader = threading.Thread(target=stall, daemon=True)
    reader.start()
    reader.join(0.2)
    waiting.put_context(b"x" * 1_000_000)
    go_on.set()
    reader.join(DEADLINE_S)
    assert not reader.is_alive()
    assert went_on == [True], "the context was given while it stalled"


@pytest.mark.usefixtures("waiting")
def test_another_process_gives_what_a_dead_one_had_written(folder: Path, opened: Opening) -> None:
    reader = Reader(folder)
    assert not reader.has_ended(0.2)
    # As a process leaves it that dies between the two.
    (folder / "new").write_bytes(CONTEXT)
    (folder / "new").replace(folder / "context.json")
    opened().put_context(b"another")
    assert reader.has_ended()
    assert reader.read == [CONTEXT]


def test_a_context_that_was_never_held_back_needs_no_thread(mailbox: FolderMailbox) -> None:
    threads_before = set(threading.enumerate())
    mailbox.put_context(CONTEXT)
    mailbox.put_context(CONTEXT)
    started = set(threading.enumerate()) - threads_before
    assert not any(thread.name == "drayage-context" for thread in started)
