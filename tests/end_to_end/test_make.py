"""The README's commands do what it says, on the test stack."""

from __future__ import annotations

import re
import subprocess

import pytest
from stack import REPOSITORY, Stack

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


def test_make_run_shows_every_step_its_numbers_and_the_uis_address(stack: Stack) -> None:
    """The newcomer's first command, on a real month."""
    done = make(stack, "run", f"DATA={stack.data_folder}")
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


def test_every_make_command_of_the_readme_is_a_target() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^ {4}make ([a-z-]+)|`make ([a-z-]+)", readme, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    words = {first or second for first, second in named}
    assert {"run", "test", "up", "clean"} <= words <= targets
