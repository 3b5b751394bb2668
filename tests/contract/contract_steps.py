"""Steps for the contract tests: workloads small enough to read in the test that uses them."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import docker
import pytest
from dagster_docker import PipesDockerClient

from drayage import DrayageClient

SHELL_IMAGE = "debian:trixie-slim"
_LONGEST_TEST_S = 3600
PYTHON_IMAGE = "drayage/contract-workload"

# Pipes by hand, as any language can speak it without a library.
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


def on_engines(*kinds: str) -> pytest.MarkDecorator:
    """Return a mark that runs a test on each of these kinds of engine.

    Args:
        kinds: ``docker``, the engine of this machine; ``remote-docker``, one that shares no files with it; or
            ``kubernetes``, the cluster that KUBECONFIG names.
    """
    marks = {"kubernetes": pytest.mark.kubernetes}
    each = [pytest.param(kind, id=kind, marks=marks.get(kind, ())) for kind in kinds]
    return pytest.mark.parametrize("engine_kind", each, indirect=True, scope="session")


on_each_engine = on_engines("docker", "remote-docker", "kubernetes")
on_each_docker_engine = on_engines("docker", "remote-docker")
on_docker_and_kubernetes = on_engines("docker", "kubernetes")


def is_relay(labels: Mapping[str, str]) -> bool:
    return "drayage/mailbox" in labels and "drayage/exchange" not in labels


def shell(script: str) -> list[str]:
    """Return a command that speaks Pipes by hand."""
    return ["sh", "-c", PIPES_SHELL + script]


def python(script: str) -> list[str]:
    """Return a command that speaks Pipes through its Python library."""
    return ["python3", "-c", script]


@dataclass(frozen=True)
class Deployment:
    """What one test owns on the engine, identified by a label."""

    name: str
    exchange_root: Path
    engine: docker.DockerClient
    events: "EngineEvents"

    # Of those that containers join.
    network: ClassVar[str | None] = "none"

    # What the failure of a step says when the engine does not answer.
    advice: ClassVar[str] = "systemctl start docker"

    @property
    def nowhere(self) -> dict[str, str]:
        """The environment of an engine of this kind that does not answer."""
        return {"DOCKER_HOST": "unix:///no/such/socket"}

    @property
    def environment(self) -> dict[str, str]:
        """What a host in a process of its own has in its environment."""
        return {"DRAYAGE_NETWORK": self.network} if self.network else {}

    def client(self, **arguments: Any) -> DrayageClient:
        given = {"exchange_root": self.exchange_root, "network": self.network, **arguments}
        return DrayageClient(deployment=self.name, **given)

    def measuring_client(self) -> DrayageClient:
        """Return a client that measures memory and processor time."""
        return self.client()

    def ran_out_of_memory(self, container: Any) -> bool:
        """Return whether the engine itself noticed it."""
        return bool(self.engine.api.inspect_container(container.id)["State"]["OOMKilled"])

    def limits(self, container: Any) -> tuple[int, float]:
        """Return how much memory, in bytes, and how many CPUs a container may use, according to the engine."""
        host = container.attrs["HostConfig"]
        return host["Memory"], host["NanoCpus"] / 1e9

    def containers(self) -> list[Any]:
        """Return the containers of steps, and those that hold secrets.

        A relay only serves one of them; and one that no step has is created, looked into and removed to find out
        whether the engine has this machine's files.
        """
        return [it for it in self.everything() if "drayage/step" in it.labels and not is_relay(it.labels)]

    def everything(self) -> list[Any]:
        return list(
            self.engine.containers.list(
                all=True, ignore_removed=True, filters={"label": f"drayage/deployment={self.name}"}
            )
        )

    def volumes(self) -> list[Any]:
        return list(self.engine.volumes.list(filters={"label": f"drayage/deployment={self.name}"}))

    def volumes_of_secrets(self) -> list[Any]:
        return [volume for volume in self.volumes() if "drayage/mailbox" not in volume.attrs["Labels"]]

    def left_behind(self) -> list[str]:
        """Return the names of the containers and volumes left once removal in the background has had time to finish.

        What a mailbox occupies goes with its container, and counts only without it.
        """
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.everything() and not self.volumes(), what="removal", deadline_s=30)
        kept = [container for container in self.everything() if not is_relay(container.labels)]
        served = {container.labels.get("drayage/mailbox", "") for container in kept}
        relays = [container for container in self.everything() if is_relay(container.labels)]
        return [
            *(container.name for container in kept),
            *(relay.name for relay in relays if relay.labels["drayage/mailbox"] not in served),
            *(volume.name for volume in self.volumes() if volume.name not in served),
        ]

    def signals(self) -> list[str] | None:
        """Return the numbers of the signals that containers were sent; None if the engine does not tell."""
        return [event["Actor"]["Attributes"]["signal"] for event in self.events.heard("kill")]

    def starts(self) -> int:
        """Return how many containers of this deployment were started, according to the engine."""
        return len(self.events.heard("start"))

    def running(self) -> list[Any]:
        return [container for container in self.containers() if container.status == "running"]

    def release(self) -> None:
        """Let the steps continue that wait for the file ``/go``, once a container runs and none is about to start."""
        for container in wait_until(self._started, what="a running container to release"):
            go_on(container)

    def _started(self) -> list[Any]:
        # The engine lists a container before it runs; one that holds secrets has no attempt, and never does.
        starting = [c for c in self.containers() if c.status == "created" and "drayage/exchange" in c.labels]
        return [] if starting else self.running()

    def remove_everything(self) -> None:
        # The steps' own removal in the background may be faster, or under way.
        for container in self.everything():
            with contextlib.suppress(docker.errors.APIError):
                container.remove(force=True, v=True)
        wait_until(self._has_no_volumes, what="the removal of the volumes")

    def _has_no_volumes(self) -> bool:
        for volume in self.volumes():
            with contextlib.suppress(docker.errors.APIError):
                volume.remove(force=True)
        return not self.volumes()


class EngineEvents:
    """The engine's events about a deployment's containers, recorded as they happen.

    The engine keeps only its last 256 events, and the health checks of a stack beside the test make many.

    Args:
        deployment: Its name.
    """

    def __init__(self, deployment: str) -> None:
        self._labels = {"drayage/deployment": deployment}
        self._engine = docker.from_env(timeout=_LONGEST_TEST_S)
        self._events: list[dict[str, Any]] = []
        self._stream = self._engine.api.events(
            decode=True, filters={"type": "container", "label": f"drayage/deployment={deployment}"}
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        # The engine answers this request before it subscribes.
        self._wait_for_a_sign()

    def heard(self, action: str) -> list[dict[str, Any]]:
        """Return all events of an action, such as ``start`` or ``kill``, up to now; a relay's own are left out."""
        self._wait_for_a_sign()
        heard = [event for event in list(self._events) if event["Action"] == action]
        return [event for event in heard if not is_relay(event["Actor"]["Attributes"])]

    def close(self) -> None:
        self._stream.close()
        self._thread.join()
        self._engine.close()

    def _listen(self) -> None:
        for event in self._stream:
            self._events.append(event)

    def _wait_for_a_sign(self) -> None:
        """Make the engine emit an event and wait for it: all earlier events have then arrived too."""

        def is_heard() -> bool:
            sign = self._engine.api.create_container(SHELL_IMAGE, labels=self._labels)["Id"]
            self._engine.api.remove_container(sign)
            try:
                return bool(
                    wait_until(
                        lambda: any(event["Actor"]["ID"] == sign for event in list(self._events)),
                        what="a sign from the engine",
                        deadline_s=2,
                    )
                )
            except AssertionError:
                return False

        wait_until(is_heard, what="the engine's events")


@dataclass(frozen=True)
class StepOutcome:
    """What Dagster's event log holds of a run."""

    run_id: str
    success: bool
    events: Sequence[dg.DagsterEvent]
    entries: Sequence[Any]

    @property
    def failure(self) -> tuple[str, Mapping[str, Any]]:
        """Return description and metadata of the step's failure."""
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
        """Return all text of the event log, as the UI would show it."""
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
    """Return an asset `report` whose step runs one container."""

    @dg.asset(name="report", **(asset or {}))
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[PipesDockerClient]) -> Any:
        yield from drayage.run(context=context, image=image, command=command, **run).get_results()

    return report


def materialize(
    instance: dg.DagsterInstance, client: PipesDockerClient, *assets: dg.AssetsDefinition, **arguments: Any
) -> StepOutcome:
    """Materialize for real; return what the event log holds."""
    result = dg.materialize(
        list(assets), instance=instance, resources={"drayage": client}, raise_on_error=False, **arguments
    )
    return outcome_of(instance, result.run_id)


def wait_until(condition: Callable[[], Any], *, what: str, deadline_s: float = 120.0) -> Any:
    """Poll a named condition until it holds, and return its value."""
    deadline = time.monotonic() + deadline_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {deadline_s} s"
        time.sleep(0.05)
    return found


def go_on(container: Any) -> None:
    """Create the file ``/go`` in a container, unless it has ended meanwhile."""
    try:
        container.exec_run(["touch", "/go"])
    except docker.errors.APIError:
        with contextlib.suppress(docker.errors.NotFound):
            container.reload()
            if container.status == "running":
                raise


def empty_project(root: Path, package: str) -> Path:
    """Create a Dagster project for ``dg``, without definitions.

    Args:
        root: Its folder; created if it does not exist.
        package: Its package; one process can import two projects only if their packages have different names.

    Returns:
        The package's folder.
    """
    folder = root / package
    (folder / "defs").mkdir(parents=True)
    for inside in (folder, folder / "defs"):
        (inside / "__init__.py").touch()
    settings = f'[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "{package}"\n'
    (root / "pyproject.toml").write_text(settings, encoding="utf-8")
    return folder
