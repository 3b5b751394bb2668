"""What works with the stock client works here, and what is the caller's own mistake is named as that."""

import datetime as dt
import json
import uuid
from pathlib import Path
from typing import Any

import dagster as dg
import pydantic
import pytest
from contract_steps import GREEN, SHELL_IMAGE, Deployment, materialize, outcome_of, python, shell, step

from drayage import DrayageClient, promises
from drayage.docker.engine import DockerEngine

pytestmark = pytest.mark.engine

CHECK = """opened; send report_asset_check '{"asset_key":"report","check_name":"whole","passed":true,"severity":"ERROR",
"metadata":{}}'; closed""".replace("\n", "")
ENVIRONMENT = {"PORT": 5432, "FLAG": True, "RATIO": 0.5, "TERM": None, "BYTES": b"b"}


def seen_by(client: DrayageClient, instance: dg.DagsterInstance, **run: Any) -> list[str]:
    """Which of those variables a container has, as `env` prints them."""
    seen: list[str] = []
    script = (
        """opened; custom "\\"$(env | grep -E '^(PORT|FLAG|RATIO|TERM|BYTES)=' | sort | tr '\\n' ' ')\\""; closed"""
    )

    @dg.op
    def look(context: dg.OpExecutionContext) -> None:
        invocation = client.run(context=context, image=SHELL_IMAGE, command=shell(script), **run)
        seen.extend(invocation.get_custom_messages()[0].split())

    @dg.job
    def looking() -> None:
        look()

    assert looking.execute_in_process(instance=instance).success
    return seen


@pytest.mark.parametrize("of", ["client", "call", "container_kwargs"])
def test_values_of_the_environment_become_text_as_with_the_stock_client(
    instance: dg.DagsterInstance, deployment: Deployment, of: str
) -> None:
    """None takes a variable away that the image or the layers below set."""
    below = {"TERM": "below"}
    client = deployment.client(env=ENVIRONMENT if of == "client" else below)
    run: dict[str, Any] = {"env": ENVIRONMENT} if of == "call" else {}
    if of == "container_kwargs":
        run["container_kwargs"] = {"environment": ENVIRONMENT}
    lines = seen_by(client, instance, **run)
    assert lines == ["BYTES=b", "FLAG=True", "PORT=5432", "RATIO=0.5"]
    (record_file,) = deployment.exchange_root.rglob("container.json")
    record = json.loads(record_file.read_text())
    assert record["taken_away"] == ["TERM"]
    assert (record["environment"]["PORT"], record["environment"]["FLAG"]) == ("5432", "True")


def test_a_path_in_a_command_is_its_text(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    command = [Path("/bin/sh"), *shell(f'test "$0" = /some/where; {GREEN}')[1:], Path("/some/where")]
    outcome = materialize(instance, client, step(command))  # type: ignore[arg-type]
    assert outcome.success, outcome.failure


def asset(client: DrayageClient, script: str, **definition: Any) -> Any:
    @dg.asset(name="report", **definition)
    def report(context: dg.AssetExecutionContext) -> Any:
        return client.run(context=context, image=SHELL_IMAGE, command=shell(script)).get_materialize_result()

    return report


def test_an_asset_is_called_directly(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    """Twice at once too: two calls have nothing in common."""
    report = asset(client, GREEN, tags={"team": "a"})
    for _ in range(2):
        result = report(dg.build_asset_context(instance=instance))
        assert result.metadata["rows"] == dg.MetadataValue.int(3)
    assert deployment.starts() == 2
    assert deployment.left_behind() == []


def test_an_asset_that_is_called_directly_fails_with_the_usual_explanation(
    instance: dg.DagsterInstance, client: DrayageClient
) -> None:
    with pytest.raises(dg.Failure) as caught:
        asset(client, "echo why >&2; exit 3")(dg.build_asset_context(instance=instance))
    assert "it exited with code 3" in str(caught.value.description)
    assert "why" in str(caught.value.description)


def test_a_partitioned_asset_is_called_directly(
    instance: dg.DagsterInstance, client: DrayageClient, python_image: str
) -> None:
    """The stock client refuses this."""
    script = """
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    window = pipes.partition_time_window
    pipes.report_asset_materialization({"seen": f"{pipes.partition_key} {window['start'][:10]}"})
"""

    @dg.asset(partitions_def=dg.MonthlyPartitionsDefinition(start_date="2024-01", fmt="%Y-%m"))
    def report(context: dg.AssetExecutionContext) -> Any:
        return client.run(context=context, image=python_image, command=python(script)).get_materialize_result()

    result = report(dg.build_asset_context(partition_key="2024-02", instance=instance))
    assert result.metadata["seen"] == dg.MetadataValue.text("2024-02 2024-02-01")


def test_an_op_is_called_directly_and_in_a_job(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    @dg.op
    def fetch(context: dg.OpExecutionContext) -> Any:
        run = client.run(context=context, image=SHELL_IMAGE, command=shell("opened; custom 7; closed"))
        return list(run.get_custom_messages())

    @dg.job
    def fetching() -> None:
        fetch()

    assert fetch(dg.build_op_context(instance=instance)) == [7]
    assert fetching.execute_in_process(instance=instance).output_for_node("fetch") == [7]


def test_an_asset_check_runs_in_a_container(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    @dg.asset
    def report() -> None: ...

    @dg.asset_check(asset=report)
    def whole(context: dg.AssetCheckExecutionContext) -> Any:
        return client.run(context=context, image=SHELL_IMAGE, command=shell(CHECK)).get_asset_check_result()

    assert whole(dg.build_asset_check_context(instance=instance)).passed
    definitions = dg.Definitions(assets=[report], asset_checks=[whole])
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
    assert outcome_of(instance, result.run_id).checks == [("whole", True)]


@pytest.mark.parametrize(
    ("run", "says"),
    [
        ({"image": ""}, "image: expected the name or the id of an image, got '' (str)"),
        ({"image": None}, "image: expected the name or the id of an image, got None (NoneType)"),
        ({"image": "A B"}, "invalid reference format"),
        ({"container_kwargs": {"mem_limit": "12q"}}, "The specified value for memory (12q) should specify the units"),
        ({"container_kwargs": {"mem_limt": "12m"}}, "got 'mem_limt' (did you mean mem_limit?)"),
        ({"container_kwargs": {"image": "other"}}, "got 'image'"),
        ({"container_kwargs": {"ports": 5}}, "with the settings, command, env or container_kwargs of this step"),
        ({"container_kwargs": {"working_dir": Path("/x")}}, "Object of type PosixPath is not JSON serializable"),
        ({"container_kwargs": {"environment": 5}}, "container_kwargs['environment']: expected a mapping"),
        ({"container_kwargs": {"mem_limit": "1k"}}, "of this step: "),
        ({"env": {"A=B": "x"}}, "env: expected a variable's name, as text without `=`, got 'A=B' (str)"),
        ({"env": {"A": dg.EnvVar("B")}}, "env: expected a value that can be written as text for A"),
        ({"command": ["sh", 5]}, "command[1]: expected text or a path, got 5 (int)"),
        ({"command": b"sh"}, "command: expected text or a list of words, got b'sh' (bytes)"),
        (
            {"extras": {"a": [{"when": dt.datetime(2024, 1, 2)}]}},  # noqa: DTZ001 - it is refused
            "extras.a[0].when: expected text, a number, true, false, null, a list or a mapping, got datetime.datetime(",
        ),
        ({"extras": {"x y": float("nan")}}, "extras['x y']: expected a finite number, got nan"),
        ({"extras": {("a", 1): 1}}, "extras: expected text as a key, got ('a', 1) (tuple)"),
        ({"extras": [1]}, "extras: expected a mapping, got [1] (list)"),
        ({"registry": {"url": "x"}}, "registry: expected url, username and password, got no username and no password"),
    ],
)
def test_the_callers_own_mistake_is_named_and_is_not_tried_again(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, run: dict[str, Any], says: str
) -> None:
    asset = {"retry_policy": dg.RetryPolicy(max_retries=2)}
    arguments = {"image": SHELL_IMAGE, "command": shell(GREEN), **run}
    command, image = arguments.pop("command"), arguments.pop("image")
    outcome = materialize(instance, client, step(command, image=image, asset=asset, **arguments))
    assert says in outcome.failure[0]
    assert "does not answer" not in outcome.failure[0]
    assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in [event.event_type for event in outcome.events]
    assert deployment.starts() == 0


@pytest.mark.filterwarnings("ignore:docker-credential-no-such-helper:UserWarning")
@pytest.mark.parametrize("login", [{"url": "registry.invalid", "username": "u", "password": "p"}, None])
def test_a_missing_credentials_helper_is_named(
    instance: dg.DagsterInstance, deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: Any
) -> None:
    (tmp_path / "config.json").write_text('{"credsStore": "no-such-helper"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    client = deployment.client(engine=DockerEngine())
    outcome = materialize(instance, client, step(shell(GREEN), image="registry.invalid/no/such", registry=login))
    assert "docker-credential-no-such-helper" in outcome.failure[0]
    assert f"`credHelpers` in {tmp_path}/config.json" in outcome.failure[0]
    assert "does not answer" not in outcome.failure[0]


def test_a_name_that_a_kept_container_has_is_no_conflict(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    """The first try fails and is kept to be looked into; the second one gets the name."""
    name = f"n{uuid.uuid4().hex}"
    asset = {"retry_policy": dg.RetryPolicy(max_retries=1)}
    outcome = materialize(instance, client, step(shell("exit 3"), asset=asset, container_kwargs={"name": name}))
    assert "it exited with code 3" in outcome.failure[0]
    names = sorted(container.name for container in deployment.containers())
    assert names[0] == name
    assert names[1].startswith(f"{name}-")
    assert deployment.starts() == 2


def test_a_name_that_a_running_container_has_is_a_conflict(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    name = f"n{uuid.uuid4().hex}"
    labels = {"drayage/deployment": deployment.name}
    deployment.engine.containers.run(
        SHELL_IMAGE, ["sleep", "600"], name=name, labels=labels, detach=True, network_mode="none"
    )
    outcome = materialize(instance, client, step(shell(GREEN), container_kwargs={"name": name}))
    assert f'The container name "/{name}" is already in use' in outcome.failure[0]


class Promised(pydantic.BaseModel):
    rows: int


@pytest.mark.parametrize(
    ("script", "metadata", "tries"),
    [("exit 3", {}, 3), ("opened; send nonsense '{}'; closed", {}, 1), ("opened; closed", promises(Promised), 1)],
)
def test_only_what_a_retry_can_help_is_tried_again(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, script: str, metadata: Any, tries: int
) -> None:
    asset = {"retry_policy": dg.RetryPolicy(max_retries=2), "metadata": metadata}
    assert not materialize(instance, client, step(shell(script), asset=asset, keep="never")).success
    assert deployment.starts() == tries


def test_a_progress_bar_ends_in_its_last_state(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, capfd: pytest.CaptureFixture[str]
) -> None:
    script = r"for i in $(seq 400); do printf '%s%% of a long way that is described here\r' $i >&2; done; sleep 1; "
    script += r"printf '\r\033[31mKilled: out of frobs\033[0m' >&2; exit 1"
    description, metadata = materialize(instance, client, step(shell(script))).failure
    assert description.endswith("Its last lines:\n  Killed: out of frobs")
    assert metadata["last_lines"] == "```text\nKilled: out of frobs\n```"
    (stderr,) = deployment.exchange_root.rglob("stderr.log")
    assert stderr.read_bytes() == b"\x1b[31mKilled: out of frobs\x1b[0m"
    assert "400% of a long way that is described here\r" in capfd.readouterr().err


def test_an_exception_of_three_megabytes_is_cut_and_kept(
    instance: dg.DagsterInstance, client: DrayageClient, python_image: str
) -> None:
    script = """
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    raise ValueError("x" * 1_500_000 + "\\x1b[31mmiddle\\x1b[0m" + "y" * 1_500_000)
"""
    description, metadata = materialize(instance, client, step(python(script), image=python_image)).failure
    assert len(description) + len(str(metadata)) < 100_000
    (line,) = [line for line in description.splitlines() if line.startswith("This was cut; the whole is in ")]
    assert "xmiddley" in Path(line.removeprefix("This was cut; the whole is in ").removesuffix(".")).read_text()
