"""No message is lost, whatever its size and whatever else the container writes."""

import tracemalloc

import dagster as dg
import pytest
from contract_steps import GREEN, PIPES_SHELL, Deployment, materialize, on_each_engine, python, shell, step
from dagster_docker import PipesDockerClient
from docker.types import LogConfig

from drayage import DrayageClient

pytestmark = [pytest.mark.engine, on_each_engine]

BIG = """
big=$(mktemp); head -c %d /dev/zero | tr '\\0' x > $big
opened
{ printf '{"__dagster_pipes_version":"0.1","method":"report_asset_materialization",'
  printf '"params":{"asset_key":"report","data_version":null,"metadata":{"big":{"type":"text","raw_value":"'
  cat $big; printf '"}}}}\\n'; } >> $messages
closed
"""


@pytest.mark.parametrize("size_bytes", [16_384, 1_000_000, 8_000_000])
def test_a_message_of_any_size_arrives_whole(
    instance: dg.DagsterInstance, client: DrayageClient, size_bytes: int
) -> None:
    outcome = materialize(instance, client, step(shell(BIG % size_bytes)))
    assert outcome.success, outcome.failure
    assert len(outcome.materializations[0]["big"]) == size_bytes


def test_the_stock_client_loses_a_long_message_and_stays_green(
    instance: dg.DagsterInstance, deployment: Deployment
) -> None:
    script = (PIPES_SHELL + BIG % 50_000).replace("/drayage/io/messages.jsonl", "/dev/stderr")
    asset = step(["sh", "-c", script], container_kwargs={"labels": {"drayage/deployment": deployment.name}})
    outcome = materialize(instance, PipesDockerClient(), asset)
    assert outcome.success
    assert "big" not in outcome.materializations[0]


@pytest.mark.parametrize("driver", ["json-file", "local", "none"])
@pytest.mark.parametrize("tty", [False, True])
def test_any_log_driver_and_any_bytes_in_the_output_are_fine(
    instance: dg.DagsterInstance, client: DrayageClient, driver: str, *, tty: bool
) -> None:
    noise = "printf 'unterminated'; head -c 100000 /dev/urandom; head -c 100000 /dev/urandom >&2;"
    kwargs = {"log_config": LogConfig(type=driver), "tty": tty}
    outcome = materialize(instance, client, step(shell(noise + GREEN + ";" + noise), container_kwargs=kwargs))
    assert outcome.success, outcome.failure
    assert outcome.materializations[0]["rows"] == 3


def test_a_bad_message_does_not_silence_the_next_ones(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    script = "opened; log before; echo broken >> $messages; send log '{\"massage\":1}'; log after; report '{}'; closed"
    outcome = materialize(instance, client, step(shell(script)))
    assert not outcome.success
    assert "2 messages were not understood" in outcome.failure[0]
    assert "before" in outcome.logged
    assert "after" in outcome.logged


def test_a_hundred_thousand_messages_arrive_in_bounded_memory(
    instance: dg.DagsterInstance, client: DrayageClient, python_image: str
) -> None:
    script = """
import json
message = {"__dagster_pipes_version": "0.1", "method": "report_custom_message"}
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    with open("/drayage/io/messages.jsonl", "a") as file:
        for number in range(100_000):
            file.write(json.dumps({**message, "params": {"payload": {"number": number, "text": "x" * 200}}}) + "\\n")
    pipes.report_asset_materialization({})
"""
    counted = []

    @dg.asset
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        tracemalloc.start()
        completed = drayage.run(context=context, image=python_image, command=python(script))
        counted.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        counted.append(len(completed.get_custom_messages()))
        return completed.get_materialize_result()

    outcome = materialize(instance, client, report)
    assert outcome.success, outcome.failure
    peak_bytes, messages = counted
    assert messages == 100_000
    assert peak_bytes < 20_000_000, "32 MB of messages passed through"


def test_context_and_extras_of_any_size_reach_the_workload(
    instance: dg.DagsterInstance, client: DrayageClient, python_image: str
) -> None:
    script = """
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    pipes.report_asset_materialization({"length": len(pipes.extras["big"])})
"""
    outcome = materialize(
        instance, client, step(python(script), image=python_image, extras={"big": "x" * 5_000_000}, user="12345:12345")
    )
    assert outcome.success, outcome.failure
    assert outcome.materializations[0]["length"] == 5_000_000


def test_progress_is_observed_while_the_step_runs_but_rarely(
    instance: dg.DagsterInstance, client: DrayageClient
) -> None:
    """The UI plots the last hundred events: a burst of progress must not push the history out."""
    script = (
        'opened; for i in 1 2 3 4 5; do custom "{\\"kind\\":\\"progress\\",\\"metadata\\":{\\"rows\\":$i}}"; done;'
        " sleep 0.5; report '{}'; closed"
    )
    outcome = materialize(instance, client, step(shell(script)))
    assert outcome.success, outcome.failure
    (observation,) = outcome.observations
    assert observation["rows"] == 1
    assert {"duration_s", "cpu_s", "peak_memory_mib"} <= observation.keys(), "the step's own numbers so far"
    kinds = [event.event_type_value for event in outcome.events]
    assert kinds.index("ASSET_OBSERVATION") < kinds.index("ASSET_MATERIALIZATION")


def test_results_are_streamed_as_they_come_and_stay_when_the_step_fails(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    script = """
opened
send report_asset_materialization '{"asset_key":"first","metadata":{},"data_version":null}'
sleep 0.5
send report_asset_materialization '{"asset_key":"second","metadata":{},"data_version":null}'
closed; exit 1
"""

    @dg.multi_asset(specs=[dg.AssetSpec("first"), dg.AssetSpec("second", deps=["first"])])
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        yield from drayage.stream(context=context, image="debian:trixie-slim", command=shell(script))

    outcome = materialize(instance, client, report)
    assert not outcome.success
    assert len(outcome.materializations) == 2
    assert outcome.observations == []
    (kept,) = deployment.containers()
    assert {metadata["container_id"] for metadata in outcome.materializations} == {kept.id}
    seconds = [
        entry.timestamp
        for entry in outcome.entries
        if "Materialized" in entry.message or "materialized" in entry.message.lower()
    ]
    assert seconds == sorted(seconds)


def test_stdout_and_stderr_are_kept_apart_in_the_exchange_directory(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = materialize(instance, client, step(shell(f"echo one; echo two >&2; printf three; ls /drayage; {GREEN}")))
    (attempt,) = deployment.exchange_root.glob(f"{outcome.run_id}/report/0")
    assert (attempt / "stdout.log").read_text() == "one\nthreeio\n"
    assert (attempt / "stderr.log").read_text() == "two\n"
    captured = capfd.readouterr()
    assert "one\n" in captured.out
    assert "two\n" in captured.err
