"""A process that ended without a word is told from one that lives."""

import fcntl
import os
import signal
from pathlib import Path

import pytest

from drayage.errors import ExchangeError
from drayage.exchange.process_lock import PROCESSES, has_ended, is_process, own_process


def test_a_process_has_one_name_for_each_root_and_lives(tmp_path: Path) -> None:
    name = own_process(tmp_path / "a")
    assert own_process(tmp_path / "a") == name
    assert is_process(name)
    assert own_process(tmp_path / "b") != name
    assert has_ended(tmp_path / "a", name) is False
    assert has_ended(tmp_path / "b", name) is None, "nobody here knows whether it lives"


def test_a_killed_process_has_ended(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, own_process(tmp_path).encode())
        signal.pause()
    name = os.read(reader, 100).decode()
    assert has_ended(tmp_path, name) is False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert has_ended(tmp_path, name) is True


def test_two_who_look_at_once_do_not_take_each_other_for_the_process(tmp_path: Path) -> None:
    (tmp_path / PROCESSES).mkdir()
    (tmp_path / PROCESSES / "process-x").touch()
    with (tmp_path / PROCESSES / "process-x").open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert has_ended(tmp_path, "process-x") is True


def test_a_root_that_was_removed_gets_a_new_lock(tmp_path: Path) -> None:
    root = tmp_path / "root"
    name = own_process(root)
    (root / PROCESSES / name).unlink()
    again = own_process(root)
    assert has_ended(root, again) is False


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExchangeError, match="DRAYAGE_EXCHANGE_ROOT"):
        own_process(tmp_path / "file")


@pytest.mark.parametrize("name", ["", "0e7a6a7f", "process-../../etc/passwd"])
def test_other_owners_are_no_processes(name: str) -> None:
    assert not is_process(name)
