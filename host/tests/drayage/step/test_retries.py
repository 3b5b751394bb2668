"""A retry policy runs a step again only where that can help; and what a failed attempt left is never followed again."""

import json
import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pydantic
import pytest
from fake_engine import FakeEngine
from fake_process import FakeImage, Process, Program

from drayage import DrayageClient, promises
from drayage.engine import ContainerSpec, ContainerState
from drayage.errors import EngineError, EntrypointError, ImageMissingError, ImageNotPulledError, ImageRefusedError
from drayage.mailbox import WORKLOAD_MESSAGES


class Rows(pydantic.BaseModel):
    rows: int


def send(process: Process, method: str, **params: Any) -> None:
    message = {"__dagster_pipes_version": "0.1", "method": method, "params": params}
    process.write(WORKLOAD_MESSAGES, process.read(WORKLOAD_MESSAGES) + json.dumps(message).encode() + b"\n")


def report(process: Process, asset: str = "report", **metadata: Any) -> None:
    send(process, "report_asset_materialization", asset_key=asset, metadata=metadata, data_version=None)


def session(*assets: str, exit_code: int = 0, **metadata: Any) -> Program:
    def program(process: Process) -> int:
        send(process, "opened", extras={})
        for asset in assets:
            report(process, asset, **metadata)
        send(process, "closed")
        return exit_code

    return program


def raises(process: Process) -> int:
    send(process, "opened", extras={})
    send(process, "closed", exception={"name": "E", "message": "boom", "stack": [], "cause": None, "context": None})
    return 1


def malformed(process: Process) -> int:
    send(process, "opened", extras={})
    send(process, "report_asset_materialization", asset_key=5, metadata={}, data_version=None)
    report(process)
    send(process, "closed")
    return 0


def hungry(process: Process) -> int:
    process.use(memory_bytes=2**40)
    return 0


def waits(_process: Process) -> Iterator[Any]:
    while True:
        yield


def prints_much(process: Process) -> int:
    process.emit("stdout", 100 * b"a line\n")
    send(process, "opened", extras={})
    report(process)
    send(process, "closed")
    return 0


PROGRAMS: dict[str, Any] = {
    "green": session("report"),
    "fails": session("report", exit_code=3),
    "raises": raises,
    "malformed": malformed,
    "twice": session("report", "report"),
    "undeclared": session("report", "other"),
    "missing": session(),
    "not finite": session("report", x={"raw_value": float("nan"), "type": "float"}),
    "hungry": hungry,
    "waits": waits,
    "prints much": prints_much,
}


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine({"image": FakeImage(PROGRAMS)})


def attempts(engine: FakeEngine, folder: Path, command: str, metadata: dict[str, Any] | None = None, **run: Any) -> int:
    """Materialize with a retry policy; return how often the step was tried."""
    tried = []

    @dg.asset(name="report", retry_policy=dg.RetryPolicy(max_retries=2), metadata=metadata)
    def step(context: dg.AssetExecutionContext) -> Any:
        tried.append(context.retry_number)
        client = DrayageClient(engine=engine, exchange_root=folder)
        yield from client.run(context=context, **{"image": "image", "command": [command], **run}).get_results()

    result = dg.materialize([step], raise_on_error=False)
    assert result.success == (command == "green" and not run and not metadata)
    return len(tried)


@pytest.mark.parametrize("command", ["malformed", "twice", "undeclared", "not finite"])
def test_what_the_program_says_again_is_not_tried_again(engine: FakeEngine, tmp_path: Path, command: str) -> None:
    assert attempts(engine, tmp_path, command) == 1


def test_a_missing_report_is_not_tried_again(engine: FakeEngine, tmp_path: Path) -> None:
    """A call that reports nothing at all prepares another one, unless something was promised of it."""
    assert attempts(engine, tmp_path, "missing", promises(Rows)) == 1


def test_a_broken_promise_is_not_tried_again(engine: FakeEngine, tmp_path: Path) -> None:
    assert attempts(engine, tmp_path, "green", promises(Rows)) == 1


@pytest.mark.parametrize(
    "run",
    [
        {"memory": "none"},
        {"image": ""},
        {"env": {"": "x"}},
        {"extras": {"x": float("nan")}},
        {"image_id": "sha256:another"},
    ],
    ids=str,
)
def test_what_nobody_but_the_author_can_mend_is_not_tried_again(
    engine: FakeEngine, tmp_path: Path, run: dict[str, Any]
) -> None:
    assert attempts(engine, tmp_path, "green", **run) == 1


@pytest.mark.parametrize("refusal", [ImageRefusedError, ImageNotPulledError, EntrypointError])
def test_an_image_that_is_refused_is_not_tried_again(
    engine: FakeEngine, tmp_path: Path, refusal: type[EngineError]
) -> None:
    engine.refusals["resolve"] = refusal("There is no such image, or it cannot be used.")
    assert attempts(engine, tmp_path, "green", image="nowhere") == 1


def test_a_registry_that_does_not_answer_is_tried_again(engine: FakeEngine, tmp_path: Path) -> None:
    engine.refusals["resolve"] = ImageMissingError("The registry does not answer.")
    assert attempts(engine, tmp_path, "green", image="nowhere") == 3


@pytest.mark.parametrize(
    ("command", "run"),
    [("fails", {}), ("raises", {}), ("hungry", {"memory": "64m"}), ("waits", {"timeout_s": 0.2, "stop_grace_s": 0.1})],
)
def test_what_may_go_better_is_tried_again(
    engine: FakeEngine, tmp_path: Path, command: str, run: dict[str, Any]
) -> None:
    assert attempts(engine, tmp_path, command, **run) == 3


def test_a_step_that_fails_after_its_container_ended_is_judged_red(engine: FakeEngine, tmp_path: Path) -> None:
    """Its results came, and Dagster or the asset's own code failed on them: a retry must not get the same ones."""
    client = DrayageClient(engine=engine, exchange_root=tmp_path)

    @dg.asset(name="report", retry_policy=dg.RetryPolicy(max_retries=1))
    def step(context: dg.AssetExecutionContext) -> Any:
        for result in client.stream(context=context, image="image", command=["green"]):
            if context.retry_number == 0:
                raise ValueError("too few rows")
            yield result

    result = dg.materialize([step])
    assert result.success
    first, second = sorted(tmp_path.rglob("verdict.json"), key=lambda path: path.parent.name)
    assert not json.loads(first.read_bytes())["green"]
    assert "ended" in json.loads(first.read_bytes())["reasons"][0]
    assert json.loads(second.read_bytes())["green"]


class CancelledEngine(FakeEngine):
    """An engine that does not answer any more when the run of its first container is cancelled."""

    def start(self, container_id: str) -> None:
        """Start the container."""
        super().start(container_id)
        self.is_unreachable = True
        signal.raise_signal(signal.SIGINT)


def test_a_cancel_stays_one_if_the_engine_does_not_answer(tmp_path: Path) -> None:
    engine = CancelledEngine({"image": FakeImage(PROGRAMS)})

    @dg.asset(name="report")
    def step(context: dg.AssetExecutionContext) -> Any:
        client = DrayageClient(engine=engine, exchange_root=tmp_path)
        return client.run(context=context, image="image", command=["waits"]).get_results()

    (failure,) = dg.materialize([step], raise_on_error=False).get_step_failure_events()
    assert failure.step_failure_data.error is not None
    assert failure.step_failure_data.error.cls_name == "DagsterExecutionInterruptedError"
    engine.is_unreachable = False
    for container_id in list(engine.containers):
        engine.remove(container_id)


class MovingEngine(FakeEngine):
    """An engine on which somebody builds the image again, just before the container is created."""

    def create(self, spec: ContainerSpec) -> ContainerState:
        """Let the image's name mean another image, which fails."""
        self.images["old"] = self.images["image"]
        self.images["image"] = FakeImage({"green": session(exit_code=9)})
        return super().create(spec)


def test_a_container_is_made_of_the_image_that_was_found(tmp_path: Path) -> None:
    engine = MovingEngine({"image": FakeImage(PROGRAMS)})
    found = engine.images["image"].id
    assert attempts(engine, tmp_path, "green", None) == 1
    (record,) = (json.loads(path.read_bytes()) for path in tmp_path.rglob("container.json"))
    assert (record["image"], record["image_id"]) == ("image", found), "people are shown the name that was asked for"


def test_what_was_left_out_of_the_output_is_a_warning_of_a_green_step(engine: FakeEngine, tmp_path: Path) -> None:
    @dg.asset(name="report")
    def step(context: dg.AssetExecutionContext) -> Any:
        client = DrayageClient(engine=engine, exchange_root=tmp_path)
        yield from client.run(context=context, image="image", command=["prints much"], output_bytes=70).get_results()

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([step], instance=instance)
        warnings = [it.user_message for it in instance.all_logs(result.run_id) if it.level == logging.WARNING]
    assert result.success
    assert [text for text in warnings if "90 lines, 630 bytes, were left out" in text]
