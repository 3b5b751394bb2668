"""What a step's container gets, and what it leaves: secrets, limits, settings, partitions, leftovers."""

import base64
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from contract_steps import (
    GREEN,
    Deployment,
    StepOutcome,
    materialize,
    on_docker_and_kubernetes,
    outcome_of,
    python,
    shell,
    step,
    wait_until,
)
from dagster_docker import PipesDockerClient

from drayage import DrayageClient, EnvSecret, FileSecret, Mount, SweepLimits

pytestmark = [pytest.mark.engine, on_docker_and_kubernetes]

HIDDEN = "hush-hush-0123456789"


def everything_written(deployment: Deployment, outcome: StepOutcome, inspected: object) -> str:
    files = [path.read_bytes() for path in deployment.exchange_root.rglob("*") if path.is_file()]
    return outcome.logged + json.dumps(inspected) + b"".join(files).decode("utf-8", "replace")


@pytest.mark.parametrize("leak", ["", "cat /run/secrets/password >&2; log $(cat /run/secrets/password); exit 1;"])
def test_secrets_are_files_in_memory_and_nowhere_else(
    instance: dg.DagsterInstance,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    leak: str,
) -> None:
    """Even a workload that prints a secret and fails does not get it past the client."""
    monkeypatch.setenv("SOME_PASSWORD", HIDDEN)
    (tmp_path / "key").write_text("of-a-file")
    declared = {"password": EnvSecret("SOME_PASSWORD"), "key": FileSecret(str(tmp_path / "key"))}
    script = f"""
opened
test "$(cat /run/secrets/password)" = {base64.b64encode(HIDDEN.encode()).decode()} || : # never equal: compared below
test "$(cat /run/secrets/password | base64)" = {base64.b64encode(HIDDEN.encode()).decode()}
test "$(cat /run/secrets/key)" = of-a-file
grep -q ' /run/secrets tmpfs ro' /proc/mounts
if touch /run/secrets/other 2>/dev/null; then exit 9; fi
{leak}
report '{{}}'; closed
"""
    client = deployment.client(secrets=declared)
    asset = step(shell(script), secrets=["password", "key"], keep="always", user="12345:12345")
    outcome = materialize(instance, client, asset)
    assert outcome.success is (not leak), outcome.events[-2]
    (container,) = deployment.containers()
    captured = capfd.readouterr()
    assert HIDDEN not in everything_written(deployment, outcome, container.attrs) + captured.out + captured.err
    if leak:
        assert "it exited with code 1" in outcome.failure[0]
        assert "[secret]" in outcome.failure[0]
    sweeper = client.sweeper(instance, SweepLimits(orphan_grace_s=-1))
    # As `docker rm --volumes` does: the volume of the secrets, empty by now, has no name.
    container.remove(force=True, v=True)
    sweeper.sweep()
    assert deployment.left_behind() == []


def test_secrets_leave_nothing_behind_a_green_step(
    instance: dg.DagsterInstance, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", HIDDEN)
    client = deployment.client(secrets={"password": EnvSecret("SOME_PASSWORD")})
    assert materialize(instance, client, step(shell(GREEN), secrets=["password"])).success
    assert deployment.left_behind() == []


def test_a_missing_secret_fails_before_anything_starts(instance: dg.DagsterInstance, deployment: Deployment) -> None:
    text, _ = materialize(instance, deployment.client(), step(shell(GREEN), secrets=["password"])).failure
    assert "password: not declared" in text
    assert deployment.starts() == 0


@pytest.mark.parametrize(
    ("setting", "script", "says"),
    [
        ("timeout_s", "opened; while true; do echo line; sleep 0.1; done", "it did not end within 2 s (timeout_s)"),
        ("start_timeout_s", "while true; do echo x; sleep 0.1; done", "it did not open Dagster Pipes within 2 s"),
        ("idle_timeout_s", "opened; while true; do sleep 0.1; done", "it sent no message and no log line within 2 s"),
    ],
)
def test_each_time_limit_ends_the_container_and_is_named(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, setting: str, script: str, says: str
) -> None:
    outcome = materialize(instance, client, step(shell(script), **{setting: 2}, keep="never"))
    assert says in outcome.failure[0]
    assert deployment.left_behind() == []


def test_settings_reach_the_container(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    asset = step(
        shell(GREEN),
        memory="64m",
        cpus=0.5,
        shm="8m",
        user="10001:10001",
        read_only_root=True,
        no_new_privileges=True,
        cap_drop=("ALL",),
        labels={"team": "a"},
        mounts=[Mount(str(tmp_path / "data"), "/data")],
        keep="always",
    )
    assert materialize(instance, client, asset).success
    (container,) = deployment.containers()
    host, config = container.attrs["HostConfig"], container.attrs["Config"]
    assert (host["Memory"], host["NanoCpus"], host["ShmSize"]) == (2**26, 500_000_000, 2**23)
    assert (config["User"], host["ReadonlyRootfs"], host["CapDrop"]) == ("10001:10001", True, ["ALL"])
    assert "no-new-privileges" in host["SecurityOpt"]
    assert host["Init"] is True
    assert config["Labels"]["team"] == "a"
    assert [
        (mount["Destination"], mount["RW"]) for mount in container.attrs["Mounts"] if mount["Destination"] == "/data"
    ] == [("/data", False)]


def test_the_engines_own_arguments_win(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    kwargs = {
        "mem_limit": "32m",
        "environment": {"WHO": "kwargs"},
        "labels": {"team": "b"},
        "name": f"n{uuid.uuid4().hex}",
    }
    script = f'test "$WHO" = kwargs; test "$OTHER" = call; {GREEN}'
    env = {"WHO": "call", "OTHER": "call"}
    asset = step(shell(script), memory="64m", env=env, container_kwargs=kwargs, keep="always")
    outcome = materialize(instance, client, asset)
    assert outcome.success, outcome.failure
    (container,) = deployment.containers()
    assert container.attrs["HostConfig"]["Memory"] == 2**25
    assert container.name == kwargs["name"]


def test_tags_override_arguments_and_tags_of_the_run_win(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    tags = {"drayage/memory": "64m", "drayage/cpus": "0.5"}
    asset = step(shell(GREEN), asset={"op_tags": tags}, memory="128m", cpus=2, keep="always")
    assert materialize(instance, client, asset, tags={"drayage/cpus": "1.5"}).success
    (container,) = deployment.containers()
    assert deployment.limits(container) == (2**26, 1.5)


def test_a_malformed_tag_fails_before_anything_starts(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    outcome = materialize(instance, client, step(shell(GREEN)), tags={"drayage/memory": "lots"})
    assert "expected a size such as 512m or 2g" in outcome.failure[0]
    assert deployment.starts() == 0


RANGE = """
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    keys, window = pipes.partition_key_range, pipes.partition_time_window
    for number, key in enumerate((keys["start"], keys["end"])):
        pipes.report_custom_message({"kind": "partition_metadata", "partition_key": key, "metadata": {"rows": number}})
    covered = {"keys": "{start}..{end}".format(**keys), "window": f"{window['start'][:10]}..{window['end'][:10]}"}
    pipes.report_asset_materialization(covered)
"""


def test_a_single_run_backfill_tells_the_workload_its_range(
    instance: dg.DagsterInstance, client: DrayageClient, python_image: str
) -> None:
    months = dg.MonthlyPartitionsDefinition(start_date="2024-01", fmt="%Y-%m")
    policy = dg.BackfillPolicy.single_run()
    asset = step(python(RANGE), image=python_image, asset={"partitions_def": months, "backfill_policy": policy})
    tags = {"dagster/asset_partition_range_start": "2024-01", "dagster/asset_partition_range_end": "2024-03"}
    outcome = materialize(instance, client, asset, tags=tags)
    assert outcome.success, outcome.failure
    assert [metadata["keys"] for metadata in outcome.materializations] == ["2024-01..2024-03"] * 3
    assert outcome.materializations[0]["window"] == "2024-01-01..2024-04-01"
    assert [metadata.get("rows") for metadata in outcome.materializations] == [0, None, 1]


def test_a_single_partition_reaches_the_workload(
    instance: dg.DagsterInstance, client: DrayageClient, python_image: str
) -> None:
    script = """
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    pipes.report_asset_materialization({"key": pipes.partition_key})
"""
    months = dg.MonthlyPartitionsDefinition(start_date="2024-01", fmt="%Y-%m")
    asset = step(python(script), image=python_image, asset={"partitions_def": months})
    outcome = materialize(instance, client, asset, partition_key="2024-02")
    assert outcome.success, outcome.failure
    assert outcome.materializations[0]["key"] == "2024-02"


def test_twenty_steps_through_one_client_at_once(deployment: Deployment, client: DrayageClient) -> None:
    """All twenty containers run at the same time: each waits until it sees the others' files."""
    together = threading.Barrier(20)

    def run(number: int) -> tuple[bool, object]:
        script = f'opened; report "{{\\"number\\":{{\\"raw_value\\":{number},\\"type\\":\\"int\\"}}}}"; sleep 1; closed'

        @dg.asset(name="report")
        def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[PipesDockerClient]) -> object:
            together.wait(120)
            yield from drayage.run(context=context, image="debian:trixie-slim", command=shell(script)).get_results()

        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize([report], instance=instance, resources={"drayage": client}, raise_on_error=False)
            outcome = outcome_of(instance, result.run_id)
        return outcome.success, outcome.materializations[0]["number"] if outcome.success else outcome.failure

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(run, range(20))) == [(True, number) for number in range(20)]
    assert deployment.left_behind() == []


def test_a_step_may_call_the_client_twice(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    @dg.asset
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        drayage.run(context=context, image="debian:trixie-slim", command=shell("opened; closed"))
        return drayage.run(context=context, image="debian:trixie-slim", command=shell(GREEN)).get_materialize_result()

    outcome = materialize(instance, client, report)
    assert outcome.success, outcome.failure
    assert "/report/0-1" in str(outcome.materializations[0]["exchange_dir"])


@pytest.mark.parametrize(("keep", "green", "red"), [("never", 0, 0), ("on_failure", 0, 1), ("always", 1, 1)])
def test_the_keep_policy_says_which_containers_stay(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, keep: str, green: int, red: int
) -> None:
    materialize(instance, client, step(shell(GREEN), keep=keep))
    wait_until(lambda: len(deployment.containers()) == green, what="what stays of a green step")
    materialize(instance, client, step(shell("exit 1"), keep=keep))
    wait_until(lambda: len(deployment.containers()) == green + red, what="what stays of both")


def test_a_container_that_someone_removes_is_reported_as_gone(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(materialize, instance, client, step(shell("opened; sleep 600"), timeout_s=120))
        (container,) = wait_until(deployment.running, what="the step's container")
        container.remove(force=True)
        outcome = running.result()
    assert not outcome.success
