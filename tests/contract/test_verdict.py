"""A step is green only if everything was right, and otherwise says what was not."""

import dagster as dg
import pydantic
import pytest
from contract_steps import GREEN, PIPES_SHELL, SHELL_IMAGE, Deployment, materialize, on_each_engine, python, shell, step
from dagster_docker import PipesDockerClient
from dagster_docker.pipes import PipesDockerLogsMessageReader

from drayage import DrayageClient, promises
from drayage.engine import short_id

pytestmark = [pytest.mark.engine, on_each_engine]


ODD = (
    "opened; send closed "
    '\'{"exception":{"name":"OddError","message":"two is odd","stack":[],"cause":null,"context":null}}\''
)


def stock(deployment: Deployment, command: list[str]) -> dg.AssetsDefinition:
    """Return the same step for the stock client, which sends messages over standard error instead of a file."""
    script = command[-1].replace("messages=/drayage/io/messages.jsonl", "messages=/dev/stderr")
    return step([*command[:-1], script], container_kwargs={"labels": {"drayage/deployment": deployment.name}})


def test_a_step_that_reports_is_green_and_leaves_no_container(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    outcome = materialize(instance, client, step(shell(GREEN)))
    assert outcome.success
    (metadata,) = outcome.materializations
    assert metadata["rows"] == 3
    assert deployment.left_behind() == []


def test_every_materialization_carries_the_steps_numbers(instance: dg.DagsterInstance, deployment: Deployment) -> None:
    # Usage is sampled; this step lives for many samples.
    asset = step(shell(GREEN + "; sleep 3"), keep="always")
    (metadata,) = materialize(instance, deployment.measuring_client(), asset).materializations
    assert {type(metadata[name]) for name in ("duration_s", "start_s", "cpu_s", "peak_memory_mib")} == {float}
    assert metadata["duration_s"] >= metadata["start_s"] > 0
    assert metadata["container_id"] == deployment.containers()[0].id
    assert metadata["debug_command"].endswith("report")
    assert " shell " in metadata["debug_command"]


def test_every_materialization_names_its_images_content(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    (metadata,) = materialize(instance, client, step(shell(GREEN))).materializations
    assert metadata["image_id"].startswith("sha256:")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (f"{GREEN}; exit 3", "it exited with code 3"),
        ("echo nothing", "it never opened Dagster Pipes"),
        ("opened; report '{}'", "it opened Dagster Pipes and never closed it"),
        (
            ODD,
            "the workload failed with OddError: two is odd",
        ),
        (f"opened; send dance '{{}}'; {GREEN}", "unknown method 'dance'"),
        (f"opened; echo 'no json' >> $messages; {GREEN}", "is not JSON"),
        (f"opened; report '[]'; {GREEN}", "report_asset_materialization"),
        (f"{GREEN}; printf '{{\"method\":' >> $messages", "the last line is half-written"),
    ],
)
def test_whatever_is_wrong_makes_the_step_red_and_is_named(
    instance: dg.DagsterInstance, client: DrayageClient, script: str, says: str
) -> None:
    outcome = materialize(instance, client, step(shell(script)))
    assert not outcome.success
    assert says in outcome.failure[0]
    assert outcome.materializations == []


@pytest.mark.parametrize("script", ["echo nothing", "opened", "opened; send dance '{}'; closed"])
def test_the_stock_client_is_green_where_nothing_was_reported(
    instance: dg.DagsterInstance, deployment: Deployment, script: str
) -> None:
    """Why drayage exists: these steps are green, with an empty materialization that was never reported."""
    outcome = materialize(instance, PipesDockerClient(), stock(deployment, shell(script)))
    assert outcome.success
    assert len(outcome.materializations) == 1
    assert len(deployment.everything()) == 1, "and the container stays"


def test_a_setting_restores_implicit_materializations(instance: dg.DagsterInstance, deployment: Deployment) -> None:
    asset = step(shell("opened; closed"))
    assert not materialize(instance, deployment.client(), asset).success
    assert materialize(instance, deployment.client(implicit_materializations=True), asset).success


class Report(pydantic.BaseModel):
    rows: int
    rate: float = pydantic.Field(alias="rows_per_second")
    note: str | None = None


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ('{"rows":{"raw_value":3,"type":"__infer__"}}', "'rows_per_second' (float or int) is missing"),
        (
            '{"rows":{"raw_value":"3","type":"__infer__"},"rows_per_second":{"raw_value":1.5,"type":"__infer__"}}',
            "'rows' is of type text, not int",
        ),
    ],
)
def test_a_broken_promise_makes_the_step_red(
    instance: dg.DagsterInstance, client: DrayageClient, metadata: str, says: str
) -> None:
    asset = step(shell(f"opened; report '{metadata}'; closed"), asset={"metadata": promises(Report)})
    outcome = materialize(instance, client, asset)
    assert not outcome.success
    assert says in outcome.failure[0]


def test_kept_promises_are_green(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    metadata = '{"rows":{"raw_value":3,"type":"__infer__"},"rows_per_second":{"raw_value":1,"type":"__infer__"}}'
    asset = step(shell(f"opened; report '{metadata}'; closed"), asset={"metadata": promises(Report)})
    assert materialize(instance, client, asset).success


def test_a_promised_asset_that_is_not_reported_is_named(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    outcome = materialize(instance, client, step(shell("opened; closed"), asset={"metadata": promises(Report)}))
    assert not outcome.success
    assert "report was promised, but no materialization of it was reported" in outcome.failure[0]


CHECK = (
    "send report_asset_check "
    '\'{"asset_key":"report","check_name":"whole","passed":%s,"severity":"ERROR","metadata":{}}\''
)


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("passed", [True, False])
def test_reported_checks_behave_like_dagsters_own(
    instance: dg.DagsterInstance, client: DrayageClient, *, passed: bool, blocking: bool
) -> None:
    """A failed check leaves the step green; a failed blocking one makes it red, once it is recorded."""
    script = f"opened; report '{{}}'; {CHECK % str(passed).lower()}; closed"
    check = dg.AssetCheckSpec("whole", asset="report", blocking=blocking)
    outcome = materialize(instance, client, step(shell(script), asset={"check_specs": [check]}))
    assert outcome.checks == [("whole", passed)]
    assert outcome.success is (passed or not blocking)


def test_what_a_red_step_reported_is_kept_as_partial_observations(
    instance: dg.DagsterInstance, client: DrayageClient
) -> None:
    script = 'opened; report \'{"rows":{"raw_value":3,"type":"__infer__"}}\'; closed; exit 1'
    outcome = materialize(instance, client, step(shell(script)))
    assert outcome.materializations == []
    (observation,) = outcome.observations
    assert observation["rows"] == 3
    assert observation["drayage/partial"] is True


def test_the_python_library_of_pipes_works_unchanged(
    instance: dg.DagsterInstance, client: DrayageClient, python_image: str
) -> None:
    script = """
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    pipes.log.info("extras: %s", pipes.extras["x"])
    pipes.report_asset_materialization({"rows": 1, "schema": {"raw_value": {"a": 1}, "type": "json"}})
    pipes.report_custom_message({"mine": 1})
"""
    custom = []

    @dg.asset
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        completed = drayage.run(context=context, image=python_image, command=python(script), extras={"x": "y"})
        custom.extend(completed.get_custom_messages())
        return completed.get_materialize_result()

    outcome = materialize(instance, client, report)
    assert outcome.success, outcome.failure
    assert "extras: y" in outcome.logged
    assert custom == [{"mine": 1}]


def test_an_exception_in_python_is_shown_with_its_stack(
    instance: dg.DagsterInstance, client: DrayageClient, python_image: str
) -> None:
    script = """
from dagster_pipes import open_dagster_pipes
def deep():
    raise KeyError("no such trip")
with open_dagster_pipes() as pipes:
    deep()
"""
    text, metadata = materialize(instance, client, step(python(script), image=python_image)).failure
    assert "the workload failed with KeyError: 'no such trip'" in text
    assert "in deep" in metadata["pipes_exception"]


def test_a_docker_log_reader_given_to_the_constructor_reads_whole_lines(
    instance: dg.DagsterInstance, deployment: Deployment
) -> None:
    script = PIPES_SHELL.replace("/drayage/io/messages.jsonl", "/dev/stderr") + (
        "opened; printf 'unterminated '; big=$(head -c 100000 /dev/zero | tr '\\0' x);"
        'report "{\\"big\\":{\\"raw_value\\":\\"$big\\",\\"type\\":\\"text\\"}}"; closed'
    )
    client = deployment.client(message_reader=PipesDockerLogsMessageReader())
    outcome = materialize(instance, client, step(["sh", "-c", script]))
    assert outcome.success, outcome.failure
    assert len(outcome.materializations[0]["big"]) == 100000


def test_a_missing_image_says_what_to_do(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    text, _ = materialize(instance, client, step(None, image="no-such-image-anywhere", pull="never")).failure
    assert "Image 'no-such-image-anywhere' is not on the engine" in text
    assert "Build it" in text


def test_an_image_that_cannot_be_pulled_says_what_to_do(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    text, _ = materialize(instance, client, step(None, image="127.0.0.1:1/no-such-image")).failure
    assert "could not be pulled" in text


def test_a_bad_entrypoint_says_what_to_do_and_leaves_nothing(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    outcome = materialize(instance, client, step(["no-such-program"], init=False))
    text, _ = outcome.failure
    assert f" replay {outcome.run_id[:8]} report" in text, "with another image or command"
    assert "The command cannot be started" in text
    assert deployment.left_behind() == []


def test_an_engine_that_is_down_says_what_to_do(
    instance: dg.DagsterInstance, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in deployment.nowhere.items():
        monkeypatch.setenv(name, value)
    text, _ = materialize(instance, deployment.client(), step(shell(GREEN))).failure
    assert "does not answer" in text
    assert deployment.advice in text


def test_running_out_of_memory_is_named_with_the_limit(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    # A busy engine may miss an event just after the start or before the end; the reason is then only suspected.
    script = "opened; sleep 1; head -c 200m /dev/zero | tail >/dev/null; code=$?; sleep 1; exit $code"
    text, metadata = materialize(instance, client, step(shell(script), memory="20m")).failure
    assert "out of memory at its limit of 20 MiB" in text
    (kept,) = deployment.containers()
    assert metadata["oom_killed"] is deployment.ran_out_of_memory(kept)
    assert ("the kernel killed it: out of memory" in text) is metadata["oom_killed"]
    assert ("perhaps the kernel: out of memory" in text) is not metadata["oom_killed"]
    assert metadata["memory_limit_mib"] == 20


def test_a_failure_carries_all_that_is_needed_to_look_into_it(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    script = "opened; i=0; while [ $i -lt 40 ]; do echo line $i >&2; i=$((i+1)); done; exit 137"
    outcome = materialize(instance, client, step(shell(script)))
    text, metadata = outcome.failure
    assert SHELL_IMAGE in text
    assert metadata["exit_code"] == 137
    assert metadata["signal"] == "SIGKILL"
    assert "line 39" in text
    assert "line 10\n" in metadata["last_lines"]
    assert "line 9\n" not in metadata["last_lines"], "the last thirty"
    for verb in ("replay", "shell"):
        assert f" {verb} {outcome.run_id[:8]} report" in text
    (kept,) = deployment.containers()
    assert short_id(kept.id) in text
