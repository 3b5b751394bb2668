"""A host that is killed while twenty steps go side by side: each has one container, and the retry goes on with it."""

import collections

import dagster as dg
import pytest
from contract_steps import go_on, on_each_docker_engine, outcome_of, wait_until
from host_process import DEADLINE_S, Host

pytestmark = [pytest.mark.engine, on_each_docker_engine]

FAN = 20


@pytest.mark.parametrize("meanwhile", ["running", "finished"])
def test_a_retry_adopts_twenty_containers_of_a_killed_host(host: Host, meanwhile: str) -> None:
    process = host.start("fan")
    host.wait_for_fan(FAN)
    left = {container.labels["drayage/step"]: container.id for container in host.deployment.running()}
    assert len(left) == FAN
    killed = host.kill(process)
    if meanwhile == "finished":

        def are_over() -> bool:
            for container in host.deployment.running():
                go_on(container)
            return not host.deployment.running()

        wait_until(are_over, what="the containers' end", deadline_s=DEADLINE_S)
    retry = host.start("fan", retried=killed)
    host.release_until_over(retry)
    outcome = host.finish(retry)
    assert outcome.success
    assert host.deployment.starts() == FAN, "one for each step"
    made: dict[str, object] = {}
    for event in outcome.events:
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            made[event.step_key or ""] = event.step_materialization_data.materialization.metadata["container_id"].value
    assert made == left, "each materialization is of the container that the killed host had started"
    assert_recorded_once(host, killed, outcome.run_id)


def test_a_host_that_is_killed_while_twenty_containers_start_does_everything_once(host: Host) -> None:
    process = host.start("fan")
    wait_until(lambda: len(host.deployment.containers()) >= FAN // 4, what="some containers", deadline_s=DEADLINE_S)
    killed = host.kill(process)
    retry = host.start("fan", retried=killed)
    host.release_until_over(retry)
    outcome = host.finish(retry)
    assert outcome.success
    assert host.deployment.starts() == FAN, "one that was created and not started is removed, and does not count"
    assert_recorded_once(host, killed, outcome.run_id)


def assert_recorded_once(host: Host, *run_ids: str) -> None:
    counts = collections.Counter(
        event.event_type for run_id in run_ids for event in outcome_of(host.instance, run_id).events
    )
    assert counts[dg.DagsterEventType.ASSET_MATERIALIZATION] == FAN
    assert counts[dg.DagsterEventType.STEP_SUCCESS] == FAN
    assert counts[dg.DagsterEventType.STEP_FAILURE] == 0
    assert host.deployment.left_behind() == []
