"""What ``drayage messages`` prints of a stranger's bytes: all of it can be read, and nothing steers the terminal."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drayage.cli.app import app
from drayage.exchange.directory import Attempt, Exchange
from drayage.pipes.lines import LONGEST_MESSAGE_BYTES

STEERING = "\x1b]0;owned\x07\x1b[2J\x9b2J\x7f\r\n\u202eCLOSED\u2066"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\x9b2J\x7f\r\n\u202eCLOSED\u2066"


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Exchange(tmp_path).create("run/step/0")


def printed(root: Path, *options: str) -> str:
    result = CliRunner().invoke(app, ["--exchange-root", str(root), "messages", "run", "step", *options])
    assert result.exit_code == 0, result.output
    return result.stdout_bytes.decode()


def log(text: str) -> bytes:
    return json.dumps({"method": "log", "params": {"level": "INFO", "message": text}}, ensure_ascii=False).encode()


def test_a_message_steers_no_terminal(attempt: Attempt, tmp_path: Path) -> None:
    message = {"method": "log", "params": {"message": f"für\tall{STEERING}"}}
    attempt.messages.write_text(json.dumps(message) + "\n")
    assert printed(tmp_path) == f"INFO     für\tall{SHOWN}\n"


def test_a_line_that_is_no_message_steers_no_terminal(attempt: Attempt, tmp_path: Path) -> None:
    attempt.messages.write_bytes(STEERING.replace("\n", "").encode() + b"\n")
    assert printed(tmp_path) == f"NOT UNDERSTOOD {SHOWN}\n".replace(r"\n", "")


def test_a_flood_is_cut_and_says_how_much_is_missing(attempt: Attempt, tmp_path: Path) -> None:
    attempt.messages.write_bytes(b"\0" * LONGEST_MESSAGE_BYTES + b"\n" + log("x" * 10_000) + b"\n")
    flood, long = printed(tmp_path).splitlines()
    assert len(flood) < 10_000
    assert flood.endswith(f"… and {LONGEST_MESSAGE_BYTES + len('NOT UNDERSTOOD ') - 2000} more characters")
    assert long.endswith("x… and 8009 more characters")


def test_json_is_whole_and_steers_no_terminal(attempt: Attempt, tmp_path: Path) -> None:
    text = "y" * 5000 + STEERING.replace("\r\n", "")
    crude = log("a\0b\x1b[2J").replace(rb"\u0000", b"\0").replace(rb"\u001b", b"\x1b")
    attempt.messages.write_bytes(log(text) + b"\r\n" + crude + b"\n")
    whole, mended = printed(tmp_path, "--json").split("\n")[:2]
    assert not set(whole + mended) & set("\0\x1b\x07\x9b\x7f\u202e\u2066")
    assert json.loads(whole)["params"]["message"] == text
    assert json.loads(mended)["params"]["message"] == "a\0b\x1b[2J"
