"""Whole steps on an engine in memory, from the client's call to the verdict."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from fake_engine import FakeEngine
from fake_process import FakeImage, Process, Program

from drayage import DrayageClient, EnvSecret
from drayage.mailbox import WORKLOAD_CONTEXT, WORKLOAD_MESSAGES


def send(process: Process, method: str, **params: object) -> None:
    message = {"__dagster_pipes_version": "0.1", "method": method, "params": params}
    sent = process.read(WORKLOAD_MESSAGES)
    process.write(WORKLOAD_MESSAGES, sent + json.dumps(message).encode() + b"\n")


def reports(process: Process) -> int:
    context = json.loads(process.read(WORKLOAD_CONTEXT))
    send(process, "opened", extras={})
    metadata = {"rows": {"raw_value": context["extras"]["rows"], "type": "int"}}
    send(process, "report_asset_materialization", asset_key="report", metadata=metadata, data_version=None)
    send(process, "closed")
    return 0


def fails(process: Process) -> int:
    process.emit("stderr", b"the disk of the workload is on fire\n")
    return 3


def reads_a_secret(process: Process) -> int:
    process.emit("stdout", process.read("/run/secrets/password") + b"\n")
    return reports(process)


@pytest.fixture
def engine() -> FakeEngine:
    programs: dict[str, Program] = {"reports": reports, "fails": fails, "reads_a_secret": reads_a_secret}
    return FakeEngine({"image": FakeImage(programs)})


def materialize(engine: FakeEngine, folder: Path, command: str, **run: Any) -> dg.ExecuteInProcessResult:
    @dg.asset
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> Any:
        asked = {"image": "image", "command": [command], "extras": {"rows": 3}, **run}
        yield from drayage.run(context=context, **asked).get_results()

    client = DrayageClient(engine=engine, exchange_root=folder, secrets={"password": EnvSecret("SOME_PASSWORD")})
    return dg.materialize([report], resources={"drayage": client}, raise_on_error=False)


def failure(result: dg.ExecuteInProcessResult) -> str:
    data = result.failure_data_for_node("report")
    assert data is not None
    assert data.user_failure_data is not None
    return data.user_failure_data.description or ""


def test_a_green_step_reports_what_its_program_sent(engine: FakeEngine, tmp_path: Path) -> None:
    result = materialize(engine, tmp_path, "reports")
    assert result.success, failure(result)
    (materialization,) = result.asset_materializations_for_node("report")
    assert materialization.metadata["rows"].value == 3


def test_a_failed_step_shows_its_exit_code_and_output(engine: FakeEngine, tmp_path: Path) -> None:
    text = failure(materialize(engine, tmp_path, "fails"))
    assert "it exited with code 3" in text
    assert "on fire" in text
    assert [container.status for container in engine.containers.values()] == ["ended"], "kept for debugging"


def test_a_secret_exists_while_the_step_runs_and_appears_in_no_log(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "hush-hush")
    result = materialize(engine, tmp_path, "reads_a_secret", secrets=["password"], keep="always")
    assert result.success, failure(result)
    assert [path.read_text() for path in tmp_path.rglob("stdout.log")] == ["[secret]\n"]
    assert [container.process.secrets for container in engine.containers.values()] == [{}]


def test_an_unreachable_engine_is_named(engine: FakeEngine, tmp_path: Path) -> None:
    engine.is_unreachable = True
    assert "does not answer" in failure(materialize(engine, tmp_path, "reports"))
