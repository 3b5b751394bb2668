"""What the sweeper removes, and what it leaves alone."""

import contextlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import docker.errors
import pytest
from contract_steps import GREEN, SHELL_IMAGE, Deployment, materialize, on_each_docker_engine, shell, step, wait_until

from drayage import DrayageClient, EnvSecret, SweepLimits, SweepReport
from drayage.exchange.trial_folder import trial_folder

pytestmark = [pytest.mark.engine, on_each_docker_engine]


def test_the_sweeper_removes_only_what_is_past_its_time(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    materialize(instance, client, step(shell("exit 1"), keep_s=3600))
    fresh = client.sweeper(instance, SweepLimits(orphan_grace_s=-1)).sweep()
    assert (fresh.removed, fresh.directories) == ([], [])
    materialize(instance, client, step(shell("exit 1"), keep_s=0))
    swept = client.sweeper(instance, SweepLimits(orphan_grace_s=-1)).sweep()
    assert len(swept.removed) == 1
    assert len(deployment.containers()) == 1
    aged = client.sweeper(instance, SweepLimits(orphan_grace_s=-1, attempt_age_s=-1)).sweep()
    assert len(aged.directories) == 1, "the other attempt's container still exists"


def test_the_sweeper_removes_what_a_killed_conform_left_but_not_a_running_one(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    with trial_folder(deployment.exchange_root) as running:
        killed = deployment.exchange_root / "replays" / "conform-killed"
        killed.mkdir()
        (killed / ".lock").touch()
        left, other = (
            deployment.engine.containers.run(
                SHELL_IMAGE, ["sleep", "600"], detach=True, labels={"drayage/deployment": name}
            )
            for name in (killed.name, running.name)
        )
        try:
            report = client.sweeper(
                instance, SweepLimits(orphan_grace_s=-1, attempt_age_s=-1, attempts_bytes=0)
            ).sweep()
            assert (report.removed, report.directories) == ([left.id], ["replays/conform-killed"])
            assert not killed.exists()
            assert running.exists()
            other.reload()
            assert other.status == "running"
        finally:
            for container in (left, other):
                with contextlib.suppress(docker.errors.NotFound):
                    container.remove(force=True)


def test_the_sweeper_stops_a_container_whose_run_is_over(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    run = instance.create_run_for_job(dg.job(name="swept")(lambda: None))
    instance.report_run_failed(run)
    labels = {"drayage/deployment": deployment.name, "drayage/run_id": run.run_id}
    deployment.engine.containers.run("debian:trixie-slim", ["sleep", "600"], detach=True, labels=labels)
    report = client.sweeper(instance, SweepLimits(orphan_grace_s=-1)).sweep()
    assert len(report.stopped) == 1
    assert [container.status for container in deployment.everything()] == ["exited"]


@pytest.mark.parametrize("is_shared", [True, False], ids=["one exchange root", "two exchange roots"])
def test_two_instances_with_the_same_deployment_leave_each_other_alone(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, tmp_path: Path, *, is_shared: bool
) -> None:
    """As two projects with all defaults on one engine have it: containers, volumes, run workers and directories."""
    secrets = {"token": EnvSecret("PATH")}
    materialize(instance, client, step(shell("exit 1"), keep_s=0, secrets=secrets))
    (kept,) = deployment.containers()
    (other_home := tmp_path / "other").mkdir()
    other_client = client if is_shared else deployment.client(exchange_root=tmp_path / "other-exchange")
    limits = SweepLimits(orphan_grace_s=-1, attempts_bytes=0, compute_logs_bytes=0)
    with dg.DagsterInstance.local_temp(str(other_home)) as other:
        script = f"while [ ! -e /go ]; do sleep 0.1; done; {GREEN}"
        with ThreadPoolExecutor(1) as pool:
            outcome = pool.submit(materialize, instance, client, step(shell(script), secrets=secrets, timeout_s=120))
            wait_until(deployment.running, what="the step's container")
            theirs = other_client.sweeper(other, limits).sweep()
            deployment.release()
            assert outcome.result().success, outcome.result().failure
    assert theirs == SweepReport()
    # The removal of the green step's container, and of its relay, is under way.
    run_of_kept = {kept.labels["drayage/run_id"]}
    wait_until(lambda: {it.labels["drayage/run_id"] for it in deployment.everything()} == run_of_kept, what="removal")
    assert client.sweeper(instance, limits).sweep().removed == [kept.id]


def test_a_killed_script_leaves_its_container_to_the_sweeper_and_a_living_one_does_not(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    """``dg.materialize`` without an instance keeps no record: the lock of its process shows when it is over."""
    script = (
        "import dagster as dg\n"
        "from contract_steps import step, shell\n"
        "from drayage import DrayageClient\n"
        f"client = DrayageClient(exchange_root={str(deployment.exchange_root)!r}, deployment={deployment.name!r})\n"
        "dg.materialize([step(shell('sleep 600'), keep_s=0)], resources={'drayage': client})\n"
    )
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as host:  # noqa: S603 - ours
        try:
            wait_until(deployment.running, what="the script's container")
            sweeper = client.sweeper(instance, SweepLimits(orphan_grace_s=-1, attempts_bytes=0))
            assert sweeper.sweep().stopped == []
        finally:
            host.kill()
            host.wait()
    assert len(sweeper.sweep().stopped) == 1
    report = client.sweeper(instance, SweepLimits(orphan_grace_s=-1, attempts_bytes=0)).sweep()
    assert (len(report.removed), len(report.directories)) == (1, 1)


def test_the_sweeper_leaves_a_running_step_alone(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    """Even with every limit at zero: a running step needs its container and its directory."""
    script = f"while [ ! -e /go ]; do sleep 0.1; done; {GREEN}"
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(materialize, instance, client, step(shell(script), timeout_s=120))
        wait_until(deployment.running, what="the step's container")
        report = client.sweeper(instance, SweepLimits(orphan_grace_s=-1, attempt_age_s=-1, attempts_bytes=0)).sweep()
        deployment.release()
        assert outcome.result().success, outcome.result().failure
    assert (report.stopped, report.removed, report.directories) == ([], [], [])


def test_the_sweeper_removes_an_ended_run_worker_but_not_a_running_one(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    """A run worker with its deployment's label is not a step; killing it would end its run."""
    run = instance.create_run_for_job(dg.job(name="swept")(lambda: None))
    labels = {"drayage/deployment": deployment.name, "drayage/role": "run-worker", "dagster/run_id": run.run_id}
    worker = deployment.engine.containers.run(SHELL_IMAGE, ["sleep", "600"], detach=True, labels=labels)
    client.sweeper(instance, SweepLimits(orphan_grace_s=-1)).sweep()
    worker.reload()
    assert worker.status == "running"
    instance.report_run_failed(run)
    worker.kill()
    worker.wait()
    report = client.sweeper(instance, SweepLimits(orphan_grace_s=-1)).sweep()
    assert report.run_workers == [worker.id]
