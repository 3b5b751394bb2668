"""Parts of the running stack's host die or restart under a step; no work is lost or done twice.

`test_crash.py` kills a host at any moment, without a stack; here the stack's own monitor retries the run.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from contract_steps import EngineEvents
from stack import Stack, wait_until

pytestmark = pytest.mark.stack

STEP = "generate_events"
EVENTS, EVENTS_PER_SECOND = 1_500, 100.0
_LONGEST_RUN_S = 300.0

RUNS = """
query Runs($root: String!) {
  runsOrError(filter: {tags: [{key: "dagster/root_run_id", value: $root}]}) {
    ... on Runs { results { id status startTime endTime } }
  }
}
"""
TAGS = """
query Tags($run: ID!) { runOrError(runId: $run) { ... on Run { tags { key value } } } }
"""
RECORDED = """
query Recorded($key: AssetKeyInput!, $partitions: [String!]) {
  assetOrError(assetKey: $key) {
    ... on Asset { assetMaterializations(partitions: $partitions) { runId } }
  }
}
"""


def start_slow_generation(stack: Stack, month: str) -> str:
    """Launch a step of about fifteen seconds; return the run's id."""
    config = {"events": EVENTS, "mode": "realtime", "events_per_second": EVENTS_PER_SECOND}
    return stack.start_job("generate", {"ops": {STEP: {"config": config}}}, month=month)


def wait_for_step(stack: Stack, run_id: str) -> Any:
    """Wait until the step's container runs and has reported something; return it."""
    filters = {"label": [f"drayage/deployment={stack.project}", f"drayage/root_run_id={run_id}"]}

    seen: list[Any] = []

    def is_running() -> bool:
        seen.extend(stack.engine.containers.list(ignore_removed=True, filters=filters))
        return bool(seen)

    wait_until(is_running, what="the step", timeout_s=60)
    return seen[0]


def run_worker(stack: Stack, run_id: str) -> Any:
    """Return the container that the run names as its own; one that stood by has no label of its run."""
    tags = {tag["key"]: tag["value"] for tag in stack.query(TAGS, run=run_id)["runOrError"]["tags"]}
    return stack.engine.containers.get(tags["docker/container_id"])


def materializations(stack: Stack, month: str) -> list[str]:
    found = stack.query(RECORDED, key={"path": [STEP]}, partitions=[month])["assetOrError"]["assetMaterializations"]
    return [event["runId"] for event in found]


@pytest.fixture(scope="module", autouse=True)
def _topic(stack: Stack) -> None:
    launch = stack.launch("2012-03", "--select", "kafka_topics")
    assert launch.exit_code == 0, launch.output


@pytest.fixture
def events(stack: Stack) -> Iterator[EngineEvents]:
    """Record the engine's events about the stack's step containers."""
    heard = EngineEvents(stack.project)
    yield heard
    heard.close()


def starts(events: EngineEvents, run_id: str) -> int:
    attributes = [event["Actor"]["Attributes"] for event in events.heard("start")]
    return sum(attribute.get("drayage/root_run_id") == run_id for attribute in attributes)


def test_the_retry_of_a_killed_run_worker_adopts_its_container(stack: Stack, events: EngineEvents) -> None:
    """The run is marked as failed; its automatic retry continues with the container and ends green."""
    month = "2012-03"
    run_id = start_slow_generation(stack, month)
    step = wait_for_step(stack, run_id)
    run_worker(stack, run_id).kill("SIGKILL")
    assert stack.wait_for_end(run_id) == "FAILURE"
    wait_until(
        lambda: any(run["status"] == "SUCCESS" for run in stack.query(RUNS, root=run_id)["runsOrError"]["results"]),
        what="the retry's success",
        timeout_s=_LONGEST_RUN_S,
    )
    assert starts(events, run_id) == 1
    assert len(materializations(stack, month)) == 1
    assert stack.materialization(STEP, month)["container_id"] == step.id
    assert stack.committed_events(month) == EVENTS


@pytest.mark.parametrize(("month", "service"), [("2012-04", "dagster-daemon"), ("2012-05", "dagster-code")])
def test_restarting_a_service_of_the_host_disturbs_no_step(
    stack: Stack, events: EngineEvents, month: str, service: str
) -> None:
    run_id = start_slow_generation(stack, month)
    wait_for_step(stack, run_id)
    stack.container(service).restart(timeout=5)
    assert stack.wait_for_end(run_id) == "SUCCESS"
    assert starts(events, run_id) == 1
    assert materializations(stack, month) == [run_id]
    assert stack.committed_events(month) == EVENTS
    # Leave the stack as it was.
    stack.wait_until_healthy(service, timeout_s=_LONGEST_RUN_S)
