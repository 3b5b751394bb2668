"""What docs/comparison.md claims about the stock client and about drayage for the same workload."""

import random

import dagster as dg
import pytest
from contract_steps import PIPES_SHELL, Deployment, StepOutcome, materialize, step, wait_until
from dagster_docker import PipesDockerClient

pytestmark = pytest.mark.engine

REPORT = """report '{"rows":{"raw_value":3,"type":"int"}}'"""
# A message at least as long as the chunks in which Docker passes on a container's output.
LONG = """
opened
text=$(head -c 16384 /dev/zero | tr '\\0' x)
report '{"text":{"type":"text","raw_value":"'$text'"}}'
closed
"""


@pytest.fixture(params=["stock", "drayage"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Pair:
    """Runs the same workload with either client."""

    def __init__(self, instance: dg.DagsterInstance, deployment: Deployment, kind: str) -> None:
        self._instance = instance
        self._deployment = deployment
        self.is_stock = kind == "stock"

    def run(self, script: str, **arguments: object) -> StepOutcome:
        if not self.is_stock:
            asset = step(["sh", "-c", PIPES_SHELL + script], **arguments)
            return materialize(self._instance, self._deployment.client(), asset)
        # The stock client reads messages from the container's log; the label is for the clean-up.
        program = (PIPES_SHELL + script).replace("/drayage/io/messages.jsonl", "/dev/stderr")
        labels = {"drayage/deployment": self._deployment.name}
        asset = step(["sh", "-c", program], container_kwargs={"labels": labels}, **arguments)
        return materialize(self._instance, PipesDockerClient(), asset)


@pytest.fixture
def pair(instance: dg.DagsterInstance, deployment: Deployment, kind: str) -> Pair:
    return Pair(instance, deployment, kind)


def test_a_workload_that_never_opens_pipes(pair: Pair) -> None:
    outcome = pair.run("true")
    assert outcome.success == pair.is_stock
    assert len(outcome.materializations) == (1 if pair.is_stock else 0)


def test_a_workload_that_ends_in_the_middle_with_exit_code_zero(pair: Pair) -> None:
    outcome = pair.run(f"opened; {REPORT}; exit 0; closed")
    assert outcome.success == pair.is_stock


def test_a_message_that_cannot_be_understood(pair: Pair) -> None:
    outcome = pair.run(f"opened; send report_something '{{}}'; {REPORT}; closed")
    assert outcome.success == pair.is_stock


def test_an_exception_that_came_with_the_close(pair: Pair) -> None:
    exception = '{"name":"Lost","message":"lost","stack":[],"cause":null,"context":null}'
    outcome = pair.run(f"opened; {REPORT}; send closed '{{\"exception\":{exception}}}'")
    assert outcome.success == pair.is_stock


def test_a_message_of_16_384_bytes(pair: Pair) -> None:
    outcome = pair.run(LONG)
    assert outcome.success
    (reported,) = outcome.materializations
    assert ("text" in reported) != pair.is_stock


def test_what_was_reported_before_a_failure(pair: Pair) -> None:
    outcome = pair.run(f"opened; {REPORT}; exit 3")
    assert not outcome.success
    assert outcome.materializations == []
    assert [seen["rows"] for seen in outcome.observations if "rows" in seen] == ([] if pair.is_stock else [3])


def test_a_large_context(pair: Pair) -> None:
    """Random, since the stock client compresses it into an environment variable."""
    extras = {"text": random.Random(0).randbytes(200_000).hex()}  # noqa: S311 - no secret
    outcome = pair.run(f"opened; {REPORT}; closed", extras=extras)
    assert outcome.success != pair.is_stock


def test_the_container_after_a_green_step(pair: Pair, deployment: Deployment) -> None:
    assert pair.run(f"opened; {REPORT}; closed").success
    if pair.is_stock:
        assert len(deployment.everything()) == 1
    else:
        wait_until(lambda: deployment.everything() == [], what="removal", deadline_s=30)
