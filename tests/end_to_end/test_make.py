"""The README's commands do what it says, on the test stack."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from repository_copy import copy_repository
from stack import REPOSITORY, Stack, wait_until

pytestmark = pytest.mark.stack

MONTH = "2019-01"
STEPS = [
    ("create-topics", "kafka_topics"),
    ("generate", "generate_events"),
    ("process", "silver/cleaned_trips"),
    ("dbt-build", "dbt_build"),
]


def make(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", *arguments, f"ENV_FILE={stack.environment_file}", f"MONTH={MONTH}"]
    return subprocess.run(  # noqa: S603 - our own Makefile
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=600
    )


def test_make_run_shows_every_step_with_its_numbers_and_the_address_of_the_ui(stack: Stack) -> None:
    """A newcomer's first command, on a real month."""
    done = make(stack, "run", f"DATA={REPOSITORY / 'tests' / 'data'}")
    assert done.returncode == 0, done.stdout + done.stderr
    for step in ("kafka_topics", "generate_events", "bronze/raw_trips", "silver/cleaned_trips", "dbt_build", "audit"):
        assert re.search(rf"^ ?{step} +ok ", done.stdout, re.MULTILINE), done.stdout
    assert "10,000 events" in done.stdout
    assert "9,993 rows" in done.stdout
    assert stack.url("DAGSTER_PORT") in done.stdout


@pytest.mark.parametrize(("target", "step"), STEPS)
def test_each_steps_target_materializes_its_asset(stack: Stack, target: str, step: str) -> None:
    done = make(stack, target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^ ?{step} +ok ", done.stdout, re.MULTILINE), done.stdout


def test_make_ps_lists_the_services(stack: Stack) -> None:
    done = make(stack, "ps")
    assert done.returncode == 0, done.stderr
    assert f"{stack.project}-dagster-webserver" in done.stdout


def test_make_dagster_ui_starts_everything_and_prints_the_address(stack: Stack) -> None:
    done = make(stack, "dagster-ui")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"Dagster: {stack.url('DAGSTER_PORT')}"
    assert httpx.get(f"{stack.url('DAGSTER_PORT')}/server_info", timeout=30).is_success


@contextmanager
def started(stack: Stack, folder: Path, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a target that writes to a log until Ctrl-C, which is sent at the end."""
    with log.open("wb") as output:
        running = subprocess.Popen(  # noqa: S603 - our own Makefile
            ["make", *arguments, f"ENV_FILE={stack.environment_file}"],  # noqa: S607
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield running
        assert running.poll() is None, log.read_text(encoding="utf-8")
        os.killpg(running.pid, signal.SIGINT)
        running.wait(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def test_make_logs_follows_the_services_or_one_of_them(stack: Stack, tmp_path: Path) -> None:
    def services(log: Path) -> set[str]:
        # Compose clears each line before it writes there.
        return set(re.findall(rf"(?m){stack.project}-([\w-]+) +\| ", log.read_text(encoding="utf-8")))

    every, one = tmp_path / "every.log", tmp_path / "one.log"
    with started(stack, REPOSITORY, every, "logs"):
        wait_until(lambda: {"minio", "dagster-daemon"} <= services(every), what="lines of services", timeout_s=60)
    with started(stack, REPOSITORY, one, "logs", "SERVICE=dagster-daemon"):
        wait_until(lambda: services(one) != set(), what="lines of the daemon", timeout_s=60)
    assert services(one) == {"dagster-daemon"}


def test_make_dev_serves_the_pipeline_from_this_checkout_beside_the_stack(stack: Stack, tmp_path: Path) -> None:
    """In a copy, to change no one's state; `up` is skipped, since it would move the services to that folder."""
    copy, log = copy_repository(tmp_path / "copy"), tmp_path / "dev.log"
    address = f"http://127.0.0.1:{stack.port('DAGSTER_PORT') + 1}"

    def serves() -> bool:
        assert server.poll() is None, log.read_text(encoding="utf-8")
        with suppress(httpx.TransportError):
            answer = httpx.post(f"{address}/graphql", json={"query": "{ assetNodes { id } }"}, timeout=30)
            return answer.is_success and len(answer.json()["data"]["assetNodes"]) > len(STEPS)
        return False

    with started(stack, copy, log, "-o", "up", "dev") as server:
        wait_until(serves, what=f"the pipeline at {address}", timeout_s=120)
    assert f"Dagster for development: {address}" in log.read_text(encoding="utf-8")
    assert (copy / ".dev" / "dagster.yaml").exists()


def test_every_make_command_of_the_readme_and_the_documentation_is_a_target() -> None:
    pages = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *(REPOSITORY / "docs").rglob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    named = set(re.findall(r"^ {4}make ([a-z-]+)|`make ([a-z-]+)", text, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    words = {first or second for first, second in named}
    assert {"run", "test", "up", "clean"} <= words <= targets
