"""A run whose steps go side by side ends soon when it is interrupted, with everything that it started."""

import collections
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from contract_steps import wait_until
from host_process import DEADLINE_S, HERE, Host

CONTAINERS_GONE_S = 5.0
PROCESS_ENDED_S = 10.0
FAN = 20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "dagster"
    home.mkdir()
    return home


@contextmanager
def executing(home: Path, job: str) -> Iterator[subprocess.Popen[bytes]]:
    """Execute a job in a process of its own."""
    command = [sys.executable, str(HERE / "executor_jobs.py"), job, str(home)]
    process = subprocess.Popen(command, cwd=HERE)  # noqa: S603 - ours
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def events_of(home: Path) -> list[dg.DagsterEvent]:
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        runs = instance.get_runs(limit=1)
        return [it.dagster_event for it in instance.all_logs(runs[0].run_id) if it.dagster_event] if runs else []


def started(home: Path) -> set[str | None]:
    return {event.step_key for event in events_of(home) if event.is_step_start}


def failures(home: Path) -> collections.Counter[str | None]:
    """Return how many failures each step has, each of them for the run's interruption."""
    failed = [event for event in events_of(home) if event.is_step_failure]
    assert {event.step_failure_data.error_source.value for event in failed} <= {"INTERRUPT"}  # type: ignore[union-attr]
    return collections.Counter(event.step_key for event in failed)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_code_that_is_not_the_runners_is_interrupted_too(home: Path, sent: signal.Signals) -> None:
    names = {"spins", "naps", "swallows", "logs", "awaits", "cleans"}
    with executing(home, "interruptible") as process:
        wait_until(lambda: started(home) == names, what="the steps")
        process.send_signal(sent)
        assert process.wait(timeout=PROCESS_ENDED_S) == 1
    assert failures(home) == dict.fromkeys(names, 1)
    errors = [event.step_failure_data.error.message for event in events_of(home) if event.is_step_failure]  # type: ignore[union-attr]
    assert not [text for text in errors if "left behind" in text]
    assert events_of(home)[-1].event_type_value == "PIPELINE_FAILURE"
    (printed,) = [it for it in home.rglob("*.out") if "cleaned up" in it.read_text(encoding="utf-8")]
    assert printed.with_suffix(".complete").exists(), "it had the time to clean up"


def test_a_step_that_ignores_everything_does_not_hold_the_process(home: Path) -> None:
    with executing(home, "ignoring") as process:
        wait_until(lambda: {"ends", "naps", "ignores"} <= started(home), what="the steps")
        process.terminate()
        process.wait(timeout=PROCESS_ENDED_S)
    assert failures(home) == {"naps": 1, "ignores": 1}
    (left,) = [event for event in events_of(home) if event.is_step_failure and event.step_key == "ignores"]
    assert "left behind" in left.step_failure_data.error.message  # type: ignore[union-attr]
    assert events_of(home)[-1].event_type_value == "PIPELINE_FAILURE", "the run has ended too"


@pytest.mark.engine
@pytest.mark.parametrize("job", ["fan", "stubborn_fan"])
def test_twenty_containers_are_gone_soon_and_each_step_has_failed(host: Host, job: str) -> None:
    process = host.start(job)
    host.wait_for_fan(FAN)
    sent_at = time.monotonic()
    process.terminate()

    def are_gone() -> bool:
        if process.poll() is not None:
            assert host.deployment.running() == [], f"the host ended with {process.returncode} before its containers"
        return not host.deployment.running()

    try:
        wait_until(are_gone, what="the containers' end")
    except AssertionError:
        # Where its threads are, on standard error.
        process.send_signal(signal.SIGUSR1)
        time.sleep(1)
        raise
    gone_s = time.monotonic() - sent_at
    process.wait(timeout=DEADLINE_S)
    ended_s = time.monotonic() - sent_at
    assert failures(host.home) == {f"step_{number:02}": 1 for number in range(FAN)}
    assert events_of(host.home)[-1].event_type_value == "PIPELINE_FAILURE"
    assert host.deployment.left_behind() == []
    print(f"{job}: containers gone after {gone_s:.1f} s, process after {ended_s:.1f} s")  # noqa: T201 - the figures
    assert gone_s < CONTAINERS_GONE_S, "what ignores its signal has its grace in this time"
    assert ended_s < PROCESS_ENDED_S


@pytest.mark.engine
def test_what_a_container_prints_is_in_its_steps_compute_log(host: Host) -> None:
    process = host.start("talking_fan")
    assert process.wait(timeout=DEADLINE_S) == 0
    run_id, manager, seen = host.last_run().run_id, host.instance.compute_log_manager, set()
    for event in events_of(host.home):
        if event.event_type_value != "LOGS_CAPTURED":
            continue
        captured: Any = event.event_specific_data
        text = manager.get_log_data(manager.build_log_key_for_run(run_id, captured.file_key))
        said = [line for line in (text.stdout or b"").decode().splitlines() if " says " in line]
        warned = [line for line in (text.stderr or b"").decode().splitlines() if " warns " in line]
        if not captured.step_keys:
            assert (said, warned) == ([], []), "the run's own log has what belongs to no step"
            continue
        (step,) = captured.step_keys
        seen.add(step)
        assert said == [f"{step} says {number}" for number in range(1, 51)]
        assert warned == [f"{step} warns {number}" for number in range(1, 51)]
    assert len(seen) == FAN
