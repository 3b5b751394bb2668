"""What `drayage runs` and `drayage steps` list, and when they need the container engine."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from drayage.cli.app import app
from drayage.exchange.directory import Exchange

RECORD = {
    "format_version": 1,
    "fingerprint": "f",
    "container_id": "c",
    "container_name": "n",
    "image": "i",
    "image_id": "sha256:i",
    "command": None,
    "created_at_s": 1000.0,
}
NO_ENGINE = {"DOCKER_HOST": "unix:///no/such/socket"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an exchange root with one green step."""
    add_step(tmp_path, "aa11", judged=True)
    return tmp_path


def add_step(root: Path, run_id: str, *, judged: bool) -> None:
    attempt = Exchange(root).create(f"{run_id}/report/0")
    identity = {"deployment": "d", "run_id": run_id, "root_run_id": run_id, "step": "report", "attempt": 0, "call": 0}
    attempt.write_json("container.json", {**RECORD, "identity": identity})
    if judged:
        measures = {"duration_s": 1.5}
        attempt.write_json("verdict.json", {"format_version": 1, "green": True, "judged_at_s": 1, "measures": measures})


def listed(root: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["--exchange-root", str(root), *words], env=NO_ENGINE)
    return done.exit_code, done.output


def test_runs_whose_steps_are_judged_are_listed_without_an_engine(root: Path) -> None:
    """What happened can be seen while the engine is down; and its client is slow to load."""
    code, output = listed(root, "runs")
    assert code == 0, output
    assert output.splitlines()[1].split() == ["aa11", "1970-01-01", "00:16:40+00:00", "1", "succeeded", "1.5", "-"]


@pytest.mark.parametrize("words", [("runs",), ("steps", "bb22"), ("steps", "aa11")])
def test_an_engine_that_is_down_is_reported_where_containers_are_asked_for(root: Path, words: tuple[str, ...]) -> None:
    add_step(root, "bb22", judged=False)
    code, output = listed(root, *words)
    assert code == 2
    assert "systemctl start docker" in output
