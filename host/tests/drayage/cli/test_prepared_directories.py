"""Commands over an exchange directory that a workload prepared: refused in words, or harmless, and never waiting."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from drayage.cli.app import app
from drayage.exchange.directory import Attempt, Exchange

CANARY = "the host's own"
RECORD = {
    "format_version": 1,
    "identity": {"deployment": "d", "run_id": "run", "root_run_id": "run", "step": "step", "attempt": 0, "call": 0},
    "fingerprint": "f",
    "container_id": "c",
    "container_name": "n",
    "image": "image",
    "image_id": "sha256:1",
    "command": ["true"],
    "created_at_s": 1.0,
}
COMMANDS = (["messages", "run", "step"], ["logs", "run", "step"], ["capsule", "run", "step", "-o", "capsule"])
FILES = ("io/context.json", "io/messages.jsonl", "stdout.log", "stderr.log", "container.json", "verdict.json")

Plant = Callable[[Path, Path], object]


@pytest.fixture(autouse=True)
def never_waits() -> Iterator[None]:
    """A pipe that is opened in the usual way waits for its other end for ever."""

    def fail(*_: Any) -> None:
        raise AssertionError("it waited")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    attempt = Exchange(tmp_path / "exchange").create("run/step/0")
    attempt.context.write_text('{"asset_keys": ["a"]}')
    attempt.messages.touch()
    attempt.write_json("container.json", RECORD)
    attempt.write_json("verdict.json", {"format_version": 1, "green": True, "judged_at_s": 1.0})
    for path in (attempt.stdout, attempt.stderr):
        path.write_bytes(b"said\n")
    (tmp_path / "victim").write_text(CANARY)
    return attempt


def hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


PLANTS: dict[str, Plant] = {
    "link": lambda path, victim: path.symlink_to(victim),
    "hard link": hard_link,
    "dangling link": lambda path, victim: path.symlink_to(victim.with_name("nothing")),
    "link to itself": lambda path, _victim: path.symlink_to(path),
    "pipe": lambda path, _victim: os.mkfifo(path),
    "folder": lambda path, _victim: path.mkdir(),
    "device": lambda path, _victim: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("file", FILES)
def test_nothing_but_a_regular_file_is_read(
    attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, plant: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (attempt.path / file).unlink()
    PLANTS[plant](attempt.path / file, tmp_path / "victim")
    exit_codes = []
    for words in COMMANDS:
        result = CliRunner().invoke(app, ["--exchange-root", str(tmp_path / "exchange"), *words])
        assert CANARY not in result.output
        assert result.exit_code in {0, 2}, (words, result.exception)
        assert "Traceback" not in result.output
        exit_codes.append(result.exit_code)
    readers = {"io/messages.jsonl": 0, "stdout.log": 1, "stderr.log": 1}
    assert exit_codes[readers.get(file, 2)] == 2, "whoever reads the file says that it is none"
    assert (tmp_path / "victim").read_text() == CANARY
    if (tmp_path / "capsule").exists():
        assert CANARY.encode() not in (tmp_path / "capsule").read_bytes()


def test_a_folder_that_is_a_link_is_not_followed(attempt: Attempt, tmp_path: Path) -> None:
    attempt.io.rename(tmp_path / "elsewhere")
    attempt.io.symlink_to(tmp_path / "elsewhere")
    result = CliRunner().invoke(app, ["--exchange-root", str(tmp_path / "exchange"), *COMMANDS[0]])
    assert result.exit_code == 2, result.exception
    assert "not a regular file" in result.output


@pytest.mark.parametrize("name", ["container.json", "verdict.json"])
@pytest.mark.parametrize("content", [b"[" * 1_000_000, b"\xff", b"9" * 100_000, b"[]", b'{"format_version": 99}'])
def test_a_record_of_another_form_is_named(attempt: Attempt, tmp_path: Path, name: str, content: bytes) -> None:
    (attempt.path / name).write_bytes(content)
    result = CliRunner().invoke(app, ["--exchange-root", str(tmp_path / "exchange"), *COMMANDS[0]])
    assert result.exit_code == 2, result.exception
    assert name in result.output


def test_a_record_of_a_gibibyte_is_refused(attempt: Attempt, tmp_path: Path) -> None:
    with (attempt.path / "container.json").open("wb") as sparse:
        sparse.truncate(2**36)
    result = CliRunner().invoke(app, ["--exchange-root", str(tmp_path / "exchange"), *COMMANDS[0]])
    assert result.exit_code == 2
    assert "does not hold JSON" in result.output


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"method":' * 100_000,
        b"\xff\x00",
        b"[]",
        b'{"method":"log","params":[]}',
        b'"\\ud800"',
        b"9" * 9999,
    ],
)
def test_any_message_can_be_shown(attempt: Attempt, tmp_path: Path, line: bytes) -> None:
    attempt.messages.write_bytes(line + b"\n" + json.dumps({"method": "closed", "params": {}}).encode() + b"\n")
    result = CliRunner().invoke(app, ["--exchange-root", str(tmp_path / "exchange"), *COMMANDS[0]])
    assert result.exit_code == 0, result.exception
    assert "NOT UNDERSTOOD" in result.output
    assert "CLOSED" in result.output


def test_a_hundred_thousand_files_are_no_matter(
    attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(100_000):
        (attempt.io / str(number)).symlink_to("/etc/passwd")
    for words in COMMANDS:
        result = CliRunner().invoke(app, ["--exchange-root", str(tmp_path / "exchange"), *words])
        assert result.exit_code == 0, result.output
