"""The engine refuses requests, and many steps leave nothing on it."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import docker
import pytest
from contract_steps import GREEN, Deployment, materialize, on_each_docker_engine, outcome_of, shell, step, wait_until
from host_process import DEADLINE_S, Host
from refusing_engine import RefusingEngine

from drayage import EnvSecret, SweepLimits

pytestmark = pytest.mark.engine

NO_SPACE = "write /var/lib/docker/tmp/x: no space left on device"
BUSY = 'driver "overlay2" failed to remove root filesystem: device or resource busy'


def test_a_full_disk_is_named_with_what_to_do_and_leaves_nothing(
    instance: dg.DagsterInstance, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with RefusingEngine(tmp_path / "e", r"POST /containers/create", NO_SPACE).serving() as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        outcome = materialize(instance, deployment.client(), step(shell(GREEN)))
    text, metadata = outcome.failure
    assert "The engine's disk is full" in text
    assert "drayage sweep" in text
    assert metadata["error_type"] == "EngineDiskFullError"
    assert len(engine.refused) == 1
    assert deployment.left_behind() == []


def test_a_start_that_is_refused_leaves_no_container_and_no_secret(
    instance: dg.DagsterInstance, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "hush-hush")
    with RefusingEngine(tmp_path / "e", r"POST /containers/[0-9a-f]+/start", NO_SPACE).serving() as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        client = deployment.client(secrets={"password": EnvSecret("SOME_PASSWORD")})
        outcome = materialize(instance, client, step(shell(GREEN), secrets=["password"]))
    assert "The engine's disk is full" in outcome.failure[0]
    assert deployment.left_behind() == []


@pytest.mark.parametrize(("script", "green"), [(GREEN, True), (f"{GREEN}; exit 3", False)])
def test_a_removal_that_fails_changes_no_outcome_and_is_left_to_the_sweeper(
    instance: dg.DagsterInstance,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    script: str,
    *,
    green: bool,
) -> None:
    with RefusingEngine(tmp_path / "e", r"DELETE /containers/", BUSY).serving() as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        outcome = materialize(instance, deployment.client(), step(shell(script), keep="never", keep_s=0))
        wait_until(lambda: engine.refused, what="the removal, which goes on behind the step")
    monkeypatch.delenv("DOCKER_HOST")
    assert outcome.success is green
    if not green:
        assert "it exited with code 3" in outcome.failure[0]
        assert "busy" not in outcome.failure[0]
    wait_until(
        lambda: "clean-up is left to the sweeper" in outcome_of(instance, outcome.run_id).logged, what="the warning"
    )
    # The step's, and the one that the engine was tried out with.
    assert len(deployment.everything()) == 2
    report = deployment.client().sweeper(instance, SweepLimits(orphan_grace_s=-1)).sweep()
    assert (len(report.removed), report.errors) == (2, [])
    assert deployment.left_behind() == []


@on_each_docker_engine
def test_a_hundred_green_steps_leave_nothing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, docker_engine: docker.DockerClient
) -> None:
    """No container, no volume and no network; every tenth step has a secret, which needs a volume."""
    monkeypatch.setenv("SOME_PASSWORD", "hush-hush")
    client = deployment.client(secrets={"password": EnvSecret("SOME_PASSWORD")})

    def run(number: int) -> bool:
        secrets = ["password"] if number % 10 == 0 else []
        with dg.DagsterInstance.ephemeral() as instance:
            return materialize(instance, client, step(shell(GREEN), secrets=secrets)).success

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(run, range(100))) == [True] * 100
    assert deployment.starts() == 100
    assert deployment.left_behind() == []
    filters = {"label": f"drayage/deployment={deployment.name}"}
    assert docker_engine.networks.list(filters=filters) == []


@on_each_docker_engine
def test_a_pool_runs_one_container_at_a_time(host: Host) -> None:
    """Of two runs in two processes, the second one's container starts after the first one's has ended."""
    # One after the other: SQLite, unlike PostgreSQL, would let both claim the pool's slot at the same moment.
    early = host.start("pooled")
    wait_until(host.deployment.containers, what="the first container")
    late = host.start("pooled")
    assert [process.wait(timeout=DEADLINE_S) for process in (early, late)] == [0, 0]
    verdicts = [json.loads(path.read_text()) for path in host.deployment.exchange_root.rglob("verdict.json")]
    first, second = sorted((verdict["state"] for verdict in verdicts), key=lambda state: state["started_at_s"])
    assert first["finished_at_s"] <= second["started_at_s"]
