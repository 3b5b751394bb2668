"""The next step's container is started ahead, waits for its context, and is never left behind."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from contract_steps import SHELL_IMAGE, Deployment, StepOutcome, materialize, on_each_engine, outcome_of, shell
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster_docker import PipesDockerClient
from host_process import is_standing_by, wait_for

from drayage import DrayageClient, FileSecret, container_executor

pytestmark = [pytest.mark.engine, on_each_engine]

FIRST = """
opened
send report_asset_materialization '{"asset_key":"first","metadata":{},"data_version":null}'; closed
"""
# Reads the context twice, as a shell script does that needs two values.
SECOND = """
grep -q '"second"' /drayage/io/context.json; grep -q '"wanted": true' /drayage/io/context.json
opened
send report_asset_materialization '{"asset_key":"second","metadata":{},"data_version":null}'; closed
"""


def asset(name: str, script: str, *, deps: list[str] | None = None, **run: Any) -> dg.AssetsDefinition:
    @dg.asset(name=name, deps=deps or [])
    def made(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[PipesDockerClient]) -> Any:
        arguments = {"image": SHELL_IMAGE, "command": shell(script), "extras": {"wanted": True}, "standby": True, **run}
        yield from drayage.run(context=context, **arguments).get_results()

    return made


def run_both(
    instance: dg.DagsterInstance, client: DrayageClient, *, first: str = FIRST, second: str = SECOND, **run: Any
) -> StepOutcome:
    """Run two steps, one after the other; ``run`` holds arguments of the second."""
    return materialize(instance, client, asset("first", first), asset("second", second, deps=["first"], **run))


def ran_before(deployment: Deployment, run_id: str) -> bool:
    """Return whether an earlier run had the second step, so that its container can stand by in this one."""
    return any(step.parent.name != run_id for step in deployment.exchange_root.glob("*/second"))


@contextmanager
def failing_once_another_stands_by(deployment: Deployment) -> Iterator[str]:
    """Return a script of the first step that fails as soon as the second step's container stands by."""

    def end_it() -> None:
        wait_for(lambda: is_standing_by(deployment), "the container that stands by")
        deployment.release()

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(end_it)
        yield "opened; while [ ! -e /go ]; do sleep 0.1; done; exit 3"
        ended.result()


def test_a_step_takes_the_container_that_stands_by(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    cold = run_both(instance, client)
    assert cold.success, cold.failure
    assert "ahead" not in cold.logged, "nothing is known about a step that never ran"
    warm = run_both(instance, client)
    assert warm.success, warm.failure
    assert "s ahead" in warm.logged
    assert warm.materializations[1]["start_s"] > 0, "it gets its context after the step began"
    assert deployment.starts() == 4, "one for each step of two runs"
    assert deployment.left_behind() == []
    attempt = deployment.exchange_root / warm.run_id / "second" / "0"
    assert (attempt / "io" / "context.json").is_file()
    assert not (attempt / "context.pipe").exists()


def test_each_step_of_a_run_may_have_its_own_client(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    @dg.asset(name="second", deps=["first"])
    def second(context: dg.AssetExecutionContext) -> Any:
        run = {"image": SHELL_IMAGE, "command": shell(SECOND), "extras": {"wanted": True}, "standby": True}
        yield from deployment.client().run(context=context, **run).get_results()

    for _ in range(2):
        outcome = materialize(instance, client, asset("first", FIRST), second)
        assert outcome.success, outcome.failure
    assert "s ahead" in outcome.logged
    assert deployment.starts() == 4
    assert deployment.left_behind() == []


def test_a_large_context_arrives_whole(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    # A pipe holds 64 KiB that no one has read.
    second = 'test "$(wc --bytes < /drayage/io/context.json)" -gt 1000000; ' + FIRST.replace("first", "second")
    for _ in range(2):
        outcome = run_both(instance, client, second=second, extras={"large": "x" * 1_000_000})
        assert outcome.success, outcome.failure
    assert "s ahead" in outcome.logged
    assert deployment.starts() == 4


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"env": {"LIMIT": "7"}}, "environment"), ({"memory": "64m"}, "memory_bytes"), ({"standby": False}, "standby")],
)
def test_a_step_that_changed_since_the_last_run_starts_its_own_container(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment, changed: dict[str, Any], named: str
) -> None:
    assert run_both(instance, client).success
    outcome = run_both(instance, client, **changed)
    assert outcome.success, outcome.failure
    assert f"is not used: it was made as in the step's last run, and since then {named} changed" in outcome.logged
    assert deployment.starts() == 5, "including the one that stood by"
    assert deployment.left_behind() == []


def test_a_workload_that_does_not_wait_is_reported_and_not_used(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    hasty = FIRST.replace("first", "second") + "sleep 30"

    @dg.asset(name="between", deps=["first"])
    def between(context: dg.AssetExecutionContext) -> None:
        messages = deployment.exchange_root / context.run_id / "second" / "0" / "io" / "messages.jsonl"
        if ran_before(deployment, context.run_id):
            wait_for(lambda: messages.exists() and messages.stat().st_size > 0, "the hasty messages")

    for _ in range(2):
        second = asset("second", hasty, deps=["between"], timeout_s=1)
        outcome = materialize(instance, client, asset("first", FIRST), between, second)
    assert not outcome.success
    assert "it sent messages before it had its context" in outcome.logged
    assert deployment.starts() == 5


def test_without_the_setting_nothing_stands_by(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    for _ in range(2):
        outcome = run_both(instance, client, standby=False)
        assert outcome.success, outcome.failure
    assert "ahead" not in outcome.logged
    assert deployment.starts() == 4


@pytest.mark.parametrize(
    ("given", "named"),
    [({"adapter": "key_value"}, "does not use Pipes"), ({"container_kwargs": {"tty": True}}, "container_kwargs")],
)
def test_a_step_that_cannot_stand_by_is_refused(
    instance: dg.DagsterInstance, client: DrayageClient, given: dict[str, Any], named: str
) -> None:
    text, _ = materialize(instance, client, asset("first", FIRST, **given)).failure
    assert "A step with standby cannot have" in text
    assert named in text
    assert "Nothing was started" in text


def test_a_container_that_stands_by_in_vain_is_removed(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    assert run_both(instance, client).success
    with failing_once_another_stands_by(deployment) as first:
        outcome = run_both(instance, client, first=first)
    assert not outcome.success
    assert deployment.starts() == 4
    (failed,) = deployment.left_behind()
    assert "first" in failed, "it is kept for debugging"
    assert not (deployment.exchange_root / outcome.run_id / "second").exists()


def test_a_step_below_one_that_is_tried_again_has_one_container_that_works(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment, tmp_path: Path
) -> None:
    """The container that stood by, which has the same name, may be on its way out meanwhile."""
    key = tmp_path / "key"
    key.write_text("hush-hush")
    secrets = {"key": FileSecret(str(key))}

    def run(failing: str = FIRST) -> StepOutcome:
        @dg.asset(name="first", retry_policy=dg.RetryPolicy(max_retries=1))
        def first(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[PipesDockerClient]) -> Any:
            script = FIRST if context.retry_number else failing
            run = {"image": SHELL_IMAGE, "command": shell(script), "extras": {"wanted": True}, "standby": True}
            yield from drayage.run(context=context, **run).get_results()

        return materialize(instance, client, first, asset("second", SECOND, deps=["first"], secrets=secrets))

    assert run().success
    with failing_once_another_stands_by(deployment) as failing:
        outcome = run(failing)
    assert outcome.success, outcome.failure
    assert deployment.starts() == 6, "two of the run before, two of the first step, and two of the second"
    wait_for(lambda: deployment.volumes_of_secrets() == [], "the removal of the secrets")


def test_each_of_two_chains_side_by_side_has_a_container_that_stands_by(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    steps = [
        asset(f"{chain}_{name}", script.replace('"' + name + '"', f'"{chain}_{name}"'), deps=deps)
        for chain in ("left", "right")
        for name, script, deps in (("first", FIRST, []), ("second", SECOND, [f"{chain}_first"]))
    ]
    definitions = dg.Definitions(steps, executor=container_executor, resources={"drayage": client})
    for expected in (0, 2):
        run = instance.create_run_for_job(definitions.resolve_implicit_global_asset_job_def())
        execute_run(InMemoryJob(definitions.resolve_implicit_global_asset_job_def()), run, instance)
        outcome = outcome_of(instance, run.run_id)
        assert outcome.success, outcome.failure
        assert outcome.logged.count("s ahead") == expected
    assert deployment.starts() == 8, "one for each step of two runs"
    assert deployment.left_behind() == []


def test_where_two_steps_become_ready_none_stands_by(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    """A step without a container does not count: see the next test."""
    third = asset("third", SECOND.replace('"second"', '"third"'), deps=["first"])
    for _ in range(2):
        outcome = materialize(instance, client, asset("first", FIRST), asset("second", SECOND, deps=["first"]), third)
        assert outcome.success, outcome.failure
    assert "ahead" not in outcome.logged
    assert deployment.starts() == 6


def test_a_step_beside_one_without_a_container_stands_by(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    @dg.asset(name="picture", deps=["first"])
    def picture() -> None: ...

    for _ in range(2):
        outcome = materialize(instance, client, asset("first", FIRST), asset("second", SECOND, deps=["first"]), picture)
        assert outcome.success, outcome.failure
    assert "s ahead" in outcome.logged
    assert deployment.starts() == 4


def test_a_step_does_without_a_standby_that_someone_removed(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    @dg.asset(name="second", deps=["first"])
    def second(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[PipesDockerClient]) -> Any:
        if ran_before(deployment, context.run_id):
            wait_for(lambda: is_standing_by(deployment), "the container that stands by")
        for container in deployment.containers():
            # The first step's is being removed in the background, and so may be those of the run before.
            if container.labels["drayage/step"] == "second" and container.labels["drayage/run_id"] == context.run_id:
                container.remove(force=True)
        run = {"image": SHELL_IMAGE, "command": shell(SECOND), "extras": {"wanted": True}, "standby": True}
        yield from drayage.run(context=context, **run).get_results()

    for _ in range(2):
        outcome = materialize(instance, client, asset("first", FIRST), second)
        assert outcome.success, outcome.failure
    assert re.search("is not used: it (is gone|ended with exit code)", outcome.logged)
    assert deployment.left_behind() == []
