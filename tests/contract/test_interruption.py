"""A step that is cancelled ends its container; a host that dies loses nothing."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest
from contract_steps import Deployment, StepOutcome, engine_time, outcome_of, wait_until

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent
# Only a failing test waits so long: the machine may be building images beside it.
_DEADLINE_S = 240.0


@dataclass
class Host:
    """Runs of `interrupted_host.py` over one Dagster home."""

    home: Path
    instance: dg.DagsterInstance
    deployment: Deployment
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, job: str, retried: str | None = None) -> subprocess.Popen[bytes]:
        root, name = str(self.deployment.exchange_root), self.deployment.name
        command = [sys.executable, str(HERE / "interrupted_host.py"), job, str(self.home), root, name]
        process = subprocess.Popen([*command, *([retried] if retried else [])], cwd=HERE)  # noqa: S603 - ours
        self.processes.append(process)
        return process

    def last_run(self) -> dg.DagsterRun:
        return self.instance.get_runs(limit=1)[0]

    def wait_for_output(self, text: str, step: str = "report") -> Path:
        """Wait until the step's container says something, as the host wrote it down."""

        def said() -> Path | None:
            assert self.processes[-1].poll() is None, "the host ended before its step said anything"
            for log in self.deployment.exchange_root.glob(f"*/{step}/*/stdout.log"):
                if text in log.read_text(encoding="utf-8"):
                    return log.parent
            return None

        found = wait_until(said, what=f"{text!r} in the output of {step}", deadline_s=_DEADLINE_S)
        assert isinstance(found, Path)
        return found

    def kill(self, process: subprocess.Popen[bytes]) -> str:
        """SIGKILL it, and do what Dagster's run monitor does: the run shows failed."""
        process.kill()
        process.wait()
        run = self.last_run()
        self.instance.report_run_failed(run)
        return run.run_id

    def finish(self, process: subprocess.Popen[bytes]) -> StepOutcome:
        process.wait(timeout=_DEADLINE_S)
        return outcome_of(self.instance, self.last_run().run_id)


@pytest.fixture
def host(tmp_path: Path, deployment: Deployment) -> Iterator[Host]:
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        host = Host(home, instance, deployment)
        try:
            yield host
        finally:
            for process in host.processes:
                process.kill()
                process.wait()


def running(deployment: Deployment) -> list[str]:
    return [container.id for container in deployment.containers() if container.status == "running"]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_cancelled_step_tells_its_workload_and_reads_its_last_messages(host: Host, sent: signal.Signals) -> None:
    process = host.start("patient")
    host.wait_for_output("started")
    process.send_signal(sent)
    outcome = host.finish(process)
    assert not outcome.success
    assert "stopping" in [entry.user_message for entry in outcome.entries]
    assert host.deployment.containers() == []


def test_a_workload_that_ignores_the_signal_is_killed(host: Host) -> None:
    process = host.start("stubborn")
    host.wait_for_output("started")
    process.terminate()
    outcome = host.finish(process)
    assert not outcome.success
    assert any("SIGTERM to container" in entry.user_message for entry in outcome.entries)
    assert host.deployment.containers() == []
    killed = host.deployment.engine.api.events(
        since=0,
        until=engine_time(host.deployment.engine),
        decode=True,
        filters={"event": "kill", "label": f"drayage/deployment={host.deployment.name}"},
    )
    assert [event["Actor"]["Attributes"]["signal"] for event in killed] == ["15", "9"]


def test_without_forwarding_a_cancel_leaves_the_container_running(host: Host) -> None:
    process = host.start("unforwarded")
    host.wait_for_output("started")
    process.terminate()
    host.finish(process)
    assert len(running(host.deployment)) == 1


@pytest.mark.parametrize("meanwhile", ["running", "finished"])
def test_a_retry_adopts_the_container_of_a_killed_host(host: Host, meanwhile: str) -> None:
    process = host.start("chain")
    attempt = host.wait_for_output("started")
    killed = host.kill(process)
    (container,) = running(host.deployment)
    if meanwhile == "finished":
        (attempt / "io" / "go").touch()
        wait_until(lambda: not running(host.deployment), what="the container's end")
    retry = host.start("chain", retried=killed)
    wait_until(lambda: host.last_run().run_id != killed, what="the retry", deadline_s=_DEADLINE_S)
    (attempt / "io" / "go").touch()
    outcome = host.finish(retry)
    assert outcome.success, outcome.failure
    assert outcome.materializations[0]["container_id"] == container
    assert outcome.materializations[0]["rows"] == 3
    assert outcome.checks == [("whole", True)]
    assert host.deployment.starts() == 2, "one for each of the two steps"
    assert len(outcome_of(host.instance, killed).materializations) == 1, "the finished step is skipped"
    assert host.deployment.containers() == []


def test_a_retry_of_a_stream_records_nothing_twice(host: Host) -> None:
    process = host.start("streamed")
    attempt = host.wait_for_output("started", step="both")

    def checked() -> bool:
        return len(outcome_of(host.instance, host.last_run().run_id).checks) == 1

    wait_until(checked, what="the first results in the event log")
    killed = host.kill(process)
    (attempt / "io" / "go").touch()
    outcome = host.finish(host.start("streamed", retried=killed))
    assert outcome.success, outcome.failure
    first = outcome_of(host.instance, killed)
    assert len(first.materializations) == 1
    assert len(outcome.materializations) == 1
    assert (first.checks, outcome.checks) == ([("whole", True)], [])
    assert host.deployment.starts() == 1


def test_the_time_of_the_kill_does_not_matter(host: Host) -> None:
    """Between the container's creation and its end there is no moment at which work is lost or done twice."""
    process = host.start("chain")
    wait_until(
        lambda: any(c.labels["drayage/step"] == "report" for c in host.deployment.containers()), what="the container"
    )
    killed = host.kill(process)
    retry = host.start("chain", retried=killed)
    attempt = wait_until(
        lambda: next(iter(host.deployment.exchange_root.glob("*/report/*/io")), None), what="the exchange directory"
    )
    deadline = time.monotonic() + _DEADLINE_S
    while retry.poll() is None and time.monotonic() < deadline:
        for io in host.deployment.exchange_root.glob("*/report/*/io"):
            (io / "go").touch()
        time.sleep(0.1)
    assert attempt.exists()
    outcome = host.finish(retry)
    assert outcome.success, outcome.failure
    assert host.deployment.starts() == 2
    assert len(outcome.materializations) == 1
