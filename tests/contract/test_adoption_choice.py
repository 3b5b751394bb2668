"""Which run may have the container that an interrupted run left: one alone, and only one that continues that run."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import docker
import pytest
from contract_steps import GREEN, PIPES_SHELL, Deployment, StepOutcome, on_docker_and_kubernetes, outcome_of, wait_until
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from host_process import DEADLINE_S, Host

from drayage import DrayageClient, Mount

pytestmark = [pytest.mark.engine, on_docker_and_kubernetes]


def running(deployment: Deployment) -> dict[str, str]:
    """Return the ids of the running containers, by the run that started them."""
    return {container.labels["drayage/run_id"]: container.id for container in deployment.running()}


def interrupt(host: Host) -> tuple[str, str]:
    """Kill a host whose step works; return the run's id and the container's."""
    process = host.start("marked", CONTRACT_ENV="first")
    host.wait_for_output("started first")
    killed = host.kill(process)
    return killed, running(host.deployment)[killed]


def marks(outcome: StepOutcome) -> list[tuple[str, str]]:
    return [(found["mark"], found["container_id"]) for found in outcome.materializations]


def has_begun(container: Any) -> bool:
    try:
        return "started" in container.logs().decode()
    except docker.errors.NotFound:
        # The one that was left has been removed since it was listed.
        return False


def retry_twice(host: Host, killed: str, environments: tuple[str, str]) -> list[StepOutcome]:
    """Retry a run twice at the same time; return how both ended, when both containers were at work."""
    processes = [host.start("marked", retried=killed, CONTRACT_ENV=mark) for mark in environments]

    def both_started() -> bool:
        assert all(process.poll() is None for process in processes), "a host ended before its container was released"
        logs = list(host.deployment.exchange_root.glob("*/report/*/owners"))
        owners = {line for log in logs for line in (log.parents[2].name, *log.read_text().split())}
        return len(owners - {killed}) == 2 and len(running(host.deployment)) == 2

    wait_until(both_started, what="both retries at work", deadline_s=DEADLINE_S)
    wait_until(lambda: all(map(has_begun, host.deployment.containers())), what="both containers' start")
    host.release_until_over(*processes)
    runs = [run.run_id for run in host.instance.get_runs() if run.run_id != killed]
    assert len(runs) == 2
    return [outcome_of(host.instance, run) for run in runs]


def test_two_retries_side_by_side_with_other_settings_have_a_container_each(host: Host) -> None:
    killed, left = interrupt(host)
    outcomes = retry_twice(host, killed, ("second", "third"))
    assert all(outcome.success for outcome in outcomes), [o.failure for o in outcomes if not o.success]
    found = [mark for outcome in outcomes for mark in marks(outcome)]
    assert sorted(mark for mark, _ in found) == ["second", "third"]
    assert len({container for _, container in found} - {left}) == 2
    assert host.deployment.starts() == 3
    assert host.deployment.left_behind() == []


def test_of_two_retries_side_by_side_one_has_the_container_that_was_left(host: Host) -> None:
    killed, left = interrupt(host)
    outcomes = retry_twice(host, killed, ("first", "first"))
    assert all(outcome.success for outcome in outcomes), [o.failure for o in outcomes if not o.success]
    containers = [container for outcome in outcomes for _, container in marks(outcome)]
    assert len(set(containers)) == 2
    assert left in containers
    assert host.deployment.starts() == 2
    assert host.deployment.left_behind() == []


def test_doing_all_steps_again_starts_a_new_container_and_ends_the_old_one(host: Host) -> None:
    killed, left = interrupt(host)
    process = host.start("marked", retried=killed, steps="all", CONTRACT_ENV="first")
    wait_until(
        lambda: killed not in running(host.deployment) and running(host.deployment),
        what="the new container in place of the old one",
        deadline_s=DEADLINE_S,
    )
    host.release_until_over(process)
    outcome = host.finish(process)
    assert outcome.success, outcome.failure
    ((_, container),) = marks(outcome)
    assert container != left
    assert host.deployment.starts() == 2
    assert host.deployment.left_behind() == []


def test_a_run_that_has_not_ended_keeps_its_container(host: Host) -> None:
    """Its host is dead, but Dagster has not noticed: another host may be about to go on with it."""
    process = host.start("marked", CONTRACT_ENV="first")
    host.wait_for_output("started first")
    process.kill()
    process.wait()
    begun = host.last_run().run_id
    left = running(host.deployment)[begun]
    retry = host.start("marked", retried=begun, steps="all", CONTRACT_ENV="first")
    wait_until(lambda: len(running(host.deployment)) == 2, what="the new container", deadline_s=DEADLINE_S)
    assert running(host.deployment)[begun] == left
    host.release_until_over(retry, but=left)
    assert host.finish(retry).success
    assert running(host.deployment) == {begun: left}


@pytest.mark.parametrize("killed_after", [2, 5])
def test_partitions_that_a_killed_host_did_not_record_are_recorded_by_the_retry(host: Host, killed_after: int) -> None:
    process = host.start("partitioned", CONTRACT_KILLED_AFTER=str(killed_after))
    process.wait(timeout=DEADLINE_S)
    killed = host.kill(process)
    outcome = host.finish(host.start("partitioned", retried=killed))
    assert outcome.success, outcome.failure
    first = outcome_of(host.instance, killed)
    assert len(first.materializations) == killed_after
    records = host.instance.fetch_materializations(dg.AssetKey("report"), limit=100).records
    events = [record.asset_materialization for record in records]
    assert all(event is not None for event in events)
    assert Counter(event.partition for event in events if event) == dict.fromkeys(
        [f"2019-0{number}" for number in range(1, 7)], 1
    )
    for event in events:
        assert event is not None
        assert event.metadata["rows"].value == 3
        assert event.metadata["part"].value == int(str(event.partition)[-1])
        assert {"dagster/data_version", "dagster/code_version"} <= (event.tags or {}).keys()
    assert host.deployment.starts() == 1
    assert host.deployment.left_behind() == []


def test_the_output_of_an_adopted_container_is_read_to_its_end(host: Host) -> None:
    """It takes the engine long to tell it again; a number from the midst of it would be wrong, and green."""
    process = host.start("flooding")
    host.wait_for_output("started")
    killed = host.kill(process)
    host.deployment.release()
    outcome = host.finish(host.start("flooding", retried=killed))
    assert outcome.success, outcome.failure
    assert outcome.materializations[-1]["rows"] == 200_000
    assert host.deployment.starts() == 1
    assert host.deployment.left_behind() == []


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    folder.mkdir()
    return folder / "program.sh"


def streamed(client: DrayageClient, program: Path, after: Callable[[], None]) -> dg.JobDefinition:
    """Return a job whose step streams what a mounted program reports; ``after`` is called when all is reported."""

    @dg.asset(name="report")
    def report(context: dg.AssetExecutionContext) -> Any:
        for result in client.stream(
            context=context,
            image="debian:trixie-slim",
            command=["sh", "/program/program.sh"],
            mounts=(Mount(str(program.parent), "/program"),),
        ):
            after()
            yield result

    return dg.Definitions(
        assets=[report], jobs=[dg.define_asset_job("work", executor_def=dg.in_process_executor)]
    ).resolve_job_def("work")


def execute(job: dg.JobDefinition, instance: dg.DagsterInstance, *, failed: str | None = None) -> StepOutcome:
    """Execute a job, or retry a run of it from its failure, as the UI and automatic retries do."""
    retry: dict[str, Any] = {
        "parent_run_id": failed,
        "root_run_id": failed,
        "tags": {"dagster/is_resume_retry": "true"},
    }
    run = instance.create_run_for_job(job, run_config={}, **(retry if failed else {}))
    execute_run(InMemoryJob(job), run, instance)
    return outcome_of(instance, run.run_id)


def test_a_program_that_reported_twice_and_was_repaired_runs(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment, program: Path
) -> None:
    program.write_text(PIPES_SHELL + "opened; report '{}'; report '{}'; closed")
    job = streamed(client, program, lambda: None)
    first = execute(job, instance)
    assert "materialized twice" in first.failure[0], first.failure
    program.write_text(PIPES_SHELL + GREEN)
    second = execute(job, instance, failed=first.run_id)
    assert second.success, second.failure
    assert second.materializations[-1]["rows"] == 3
    assert deployment.starts() == 2


def test_a_step_that_failed_after_its_container_ended_starts_over(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment, program: Path
) -> None:
    """The asset's own code fails on what was reported, and is repaired without any change to the container."""
    program.write_text(PIPES_SHELL + GREEN)

    def fail() -> None:
        raise ValueError("three rows are too few")

    first = execute(streamed(client, program, fail), instance)
    assert "three rows are too few" in first.logged
    again = execute(streamed(client, program, fail), instance, failed=first.run_id)
    assert "three rows are too few" in again.logged
    second = execute(streamed(client, program, lambda: None), instance, failed=again.run_id)
    assert second.success, second.failure
    assert deployment.starts() == 3
