"""What the sweeper removes, and what it leaves alone."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import docker.errors
import pytest
from contract_steps import GREEN, SHELL_IMAGE, Deployment, materialize, shell, step, wait_until

from drayage import DrayageClient, SweepLimits
from drayage.exchange.trial_folder import trial_folder

pytestmark = pytest.mark.engine


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
    labels = {"drayage/deployment": deployment.name, "drayage/run_id": "gone", "drayage/root_run_id": "gone"}
    deployment.engine.containers.run("debian:trixie-slim", ["sleep", "600"], detach=True, labels=labels)
    report = client.sweeper(instance).sweep()
    assert len(report.stopped) == 1
    assert [container.status for container in deployment.containers()] == ["ended"]


def test_the_sweeper_leaves_a_running_step_alone(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    """Even with every limit at zero: a running step needs its container and its directory."""
    script = f"while [ ! -e /go ]; do sleep 0.1; done; {GREEN}"
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(materialize, instance, client, step(shell(script), timeout_s=120))
        wait_until(lambda: [c for c in deployment.containers() if c.status == "running"], what="the step's container")
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
