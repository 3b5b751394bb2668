import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import IO

import pytest

from drayage.launcher import words
from drayage.launcher.worker import LineReader


@pytest.fixture
def pipe() -> Iterator[tuple[LineReader, IO[bytes]]]:
    read, write = os.pipe()
    with os.fdopen(read, "rb"), os.fdopen(write, "wb", buffering=0) as writer:
        yield LineReader(read), writer


def test_lines_are_read_one_at_a_time_however_they_arrive(pipe: tuple[LineReader, IO[bytes]]) -> None:
    reader, writer = pipe
    writer.write(b"one\ntwo\nth")
    assert [reader.line(1), reader.line(1)] == ["one", "two"]
    Timer(0.05, lambda: writer.write(b"ree\n")).start()
    assert reader.line(10) == "three"


def test_a_line_that_does_not_come_is_none(pipe: tuple[LineReader, IO[bytes]]) -> None:
    reader, writer = pipe
    writer.write(b"half")
    assert reader.line(0.05) is None


def test_the_end_of_the_input_is_none(pipe: tuple[LineReader, IO[bytes]]) -> None:
    reader, writer = pipe
    writer.close()
    assert reader.line(60) is None


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "drayage.launcher.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_it_says_that_it_loads_before_the_imports_that_take_seconds() -> None:
    """The launcher waits for these words; without them it takes the image for one that has no such program."""
    source = Path(sys.modules["drayage.launcher.worker"].__file__ or "").read_text()
    code = "import sys\nimport drayage.launcher.worker\nassert 'dagster' not in sys.modules, 'dagster is imported'"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)  # noqa: S603 - ours
    assert source.index("words.LOADING") < source.index("dagster_internals import")


def test_it_ends_when_nobody_tells_it_what_to_load() -> None:
    worker = _start()
    _, complaint = worker.communicate(timeout=30)
    assert worker.returncode == 1
    assert b"the launcher did not say what to load" in complaint


def test_a_stop_signal_ends_it_while_it_waits_even_as_process_1() -> None:
    """Process 1 ignores what it does not handle."""
    worker = _start()
    status = Path(f"/proc/{worker.pid}/status")

    def handles() -> bool:
        (caught,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)

    deadline = time.monotonic() + 30
    while not handles():
        assert time.monotonic() < deadline, "it never handles SIGTERM"
        time.sleep(0.01)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=30)
    assert worker.returncode == 128 + signal.SIGTERM


def test_what_it_cannot_load_it_says() -> None:
    worker = _start()
    brief = {"instance_ref": "no instance", "origin": "", "load_data": "", "image": "i"}
    said, complaint = worker.communicate(json.dumps(brief).encode() + b"\n", timeout=60)
    assert worker.returncode == 1
    assert words.heard(said.decode().splitlines()) == [words.LOADING]
    assert b"no instance" in complaint or b"Error" in complaint
