"""What ``drayage logs`` prints on, and how it ends when that takes no more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drayage.exchange.directory import Exchange

LINES = 200_000


def print_logs(root: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-m", "drayage.cli", "--exchange-root", str(root), "logs", "run", "step"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    attempt = Exchange(tmp_path).create("run/step/0")
    attempt.stdout.write_text("für\n" * LINES, encoding="utf-8")
    attempt.stderr.touch()
    return tmp_path


def test_a_closed_pipe_ends_the_command_without_a_traceback(root: Path) -> None:
    with print_logs(root) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.readline() == "für\n".encode()
        command.stdout.close()
        said = command.stderr.read()
    assert (command.returncode, said) == (1, b"")


def test_an_ascii_terminal_shows_escapes(root: Path) -> None:
    with print_logs(root, PYTHONIOENCODING="ascii") as command:
        printed, said = command.communicate()
    assert (command.returncode, said) == (0, b"")
    assert printed.count(b"f\\xfcr\n") == LINES
