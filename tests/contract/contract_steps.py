"""Steps for the contract tests: workloads small enough to read in the test that uses them."""

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import docker
from dagster_docker import PipesDockerClient

from drayage import DrayageClient

SHELL_IMAGE = "debian:trixie-slim"
PYTHON_IMAGE = "drayage/contract-workload"

# Pipes by hand: what any language can do without a library.
PIPES_SHELL = r"""
set -eu
messages=/drayage/io/messages.jsonl
send() { printf '{"__dagster_pipes_version":"0.1","method":"%s","params":%s}\n' "$1" "$2" >> "$messages"; }
opened() { send opened '{"extras":{}}'; }
closed() { send closed '{}'; }
report() { send report_asset_materialization "{\"asset_key\":\"report\",\"metadata\":$1,\"data_version\":null}"; }
custom() { send report_custom_message "{\"payload\":$1}"; }
log() { send log "{\"message\":\"$1\",\"level\":\"INFO\"}"; }
"""

GREEN = 'opened; report \'{"rows":{"raw_value":3,"type":"__infer__"}}\'; closed'


def shell(script: str) -> list[str]:
    """A command that speaks Pipes by hand."""
    return ["sh", "-c", PIPES_SHELL + script]


def python(script: str) -> list[str]:
    """A command that speaks Pipes through its Python library."""
    return ["python3", "-c", script]


@dataclass(frozen=True)
class Deployment:
    """What one test owns on the engine, told by its label."""

    name: str
    exchange_root: Path
    engine: docker.DockerClient

    def client(self, **arguments: Any) -> DrayageClient:
        return DrayageClient(exchange_root=self.exchange_root, deployment=self.name, **{"network": "none", **arguments})

    def containers(self) -> list[Any]:
        return list(self.engine.containers.list(all=True, filters={"label": f"drayage/deployment={self.name}"}))

    def volumes(self) -> list[Any]:
        return list(self.engine.volumes.list(filters={"label": f"drayage/deployment={self.name}"}))

    def starts(self) -> int:
        """How often containers of this deployment were started, by the engine's own event log."""
        return len(self.started())

    def started(self) -> set[tuple[str, int]]:
        """Each start by container and time; the engine keeps its last 256 events, of all that it runs."""
        events = self.engine.api.events(
            since=0,
            until=engine_time(self.engine),
            decode=True,
            filters={"event": "start", "type": "container", "label": f"drayage/deployment={self.name}"},
        )
        return {(event["Actor"]["ID"], event["timeNano"]) for event in events}

    def remove_everything(self) -> None:
        for container in self.containers():
            container.remove(force=True, v=True)
        for volume in self.volumes():
            volume.remove(force=True)


def engine_time(engine: docker.DockerClient) -> int:
    """The engine's clock, in whole seconds since the epoch, rounded up."""
    text = engine.info()["SystemTime"][:19]
    return int(dt.datetime.fromisoformat(f"{text}+00:00").timestamp()) + 1


@dataclass(frozen=True)
class StepOutcome:
    """What Dagster's event log holds of a run."""

    run_id: str
    success: bool
    events: Sequence[dg.DagsterEvent]
    entries: Sequence[Any]

    @property
    def failure(self) -> tuple[str, Mapping[str, Any]]:
        """Description and metadata of the step's failure."""
        (event,) = [e for e in self.events if e.event_type == dg.DagsterEventType.STEP_FAILURE]
        data = event.step_failure_data
        if data.user_failure_data is None:
            assert data.error is not None
            return data.error.to_string(), {}
        return (
            data.user_failure_data.description or "",
            {name: value.value for name, value in data.user_failure_data.metadata.items()},
        )

    @property
    def materializations(self) -> list[dict[str, Any]]:
        return [
            {name: value.value for name, value in e.step_materialization_data.materialization.metadata.items()}
            for e in self.events
            if e.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION
        ]

    @property
    def observations(self) -> list[dict[str, Any]]:
        return [
            {name: value.value for name, value in e.asset_observation_data.asset_observation.metadata.items()}
            for e in self.events
            if e.event_type == dg.DagsterEventType.ASSET_OBSERVATION
        ]

    @property
    def checks(self) -> list[tuple[str, bool]]:
        return [
            (e.asset_check_evaluation_data.check_name, e.asset_check_evaluation_data.passed)
            for e in self.events
            if e.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ]

    @property
    def logged(self) -> str:
        """Every text of the event log, as the UI would show it."""
        return "\n".join(str(entry) for entry in self.entries)


def outcome_of(instance: dg.DagsterInstance, run_id: str) -> StepOutcome:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    entries = instance.all_logs(run_id)
    return StepOutcome(
        run_id,
        run.status == dg.DagsterRunStatus.SUCCESS,
        [entry.dagster_event for entry in entries if entry.dagster_event is not None],
        entries,
    )


def step(
    command: Sequence[str] | None, *, image: str = SHELL_IMAGE, asset: Mapping[str, Any] | None = None, **run: Any
) -> dg.AssetsDefinition:
    """An asset `report` whose step runs one container."""

    @dg.asset(name="report", **(asset or {}))
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[PipesDockerClient]) -> Any:
        yield from drayage.run(context=context, image=image, command=command, **run).get_results()

    return report


def materialize(
    instance: dg.DagsterInstance, client: PipesDockerClient, *assets: dg.AssetsDefinition, **arguments: Any
) -> StepOutcome:
    """Materialize for real, and read the event log."""
    result = dg.materialize(
        list(assets), instance=instance, resources={"drayage": client}, raise_on_error=False, **arguments
    )
    return outcome_of(instance, result.run_id)


def wait_until(condition: Callable[[], Any], *, what: str, deadline_s: float = 120.0) -> Any:
    """Poll a named condition."""
    deadline = time.monotonic() + deadline_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {deadline_s} s"
        time.sleep(0.05)
    return found
