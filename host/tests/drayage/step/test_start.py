"""A new container is created while the host opens Pipes and records the launch, and is started only after both."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from fake_engine import FakeEngine
from fake_process import FakeImage, Process

from drayage import DrayageClient
from drayage.dagster_internals import last_launch
from drayage.engine import ContainerSpec, ContainerState
from drayage.errors import EngineUnavailableError, ExchangeError
from drayage.mailbox import WORKLOAD_CONTEXT, WORKLOAD_MESSAGES, FolderMailbox

DEADLINE_S = 30.0


def green(process: Process) -> int:
    lines = [
        ("opened", {"extras": {}}),
        ("report_asset_materialization", {"asset_key": "report", "metadata": {}, "data_version": None}),
        ("closed", {}),
    ]
    messages = [{"__dagster_pipes_version": "0.1", "method": method, "params": params} for method, params in lines]
    process.write(WORKLOAD_MESSAGES, b"".join(json.dumps(message).encode() + b"\n" for message in messages))
    return 0


class WatchedEngine(FakeEngine):
    """An engine that looks at what its host has done when a container is created, and when it is started."""

    def __init__(self) -> None:
        super().__init__({"image": FakeImage({"green": green}, ["green"])})
        self.asked, self.recorded = threading.Event(), threading.Event()
        self.created_in_time = False
        self.at_start: list[tuple[bool, bool]] = []
        self.specs: list[ContainerSpec] = []
        self.disk_is_full = False

    def create(self, spec: ContainerSpec) -> ContainerState:
        """Create the container, with an answer that comes only when the launch has been recorded."""
        self.specs.append(spec)
        self.asked.set()
        state = super().create(spec)
        # On a full disk the launch is never recorded.
        self.created_in_time = self.recorded.wait(0 if self.disk_is_full else DEADLINE_S)
        return state

    def start(self, container_id: str) -> None:
        """Start the container."""
        mounted = {mount.target: Path(mount.source) for mount in self.specs[-1].mounts}
        has_context = WORKLOAD_CONTEXT in mounted and b"report" in mounted[WORKLOAD_CONTEXT].read_bytes()
        self.at_start.append((self.recorded.is_set(), has_context))
        super().start(container_id)

    def mailbox(
        self,
        folder: Path,
        *,
        labels: Mapping[str, str],  # noqa: ARG002 - files are found by their folder
        waits: bool = False,
        receives: bool = True,
    ) -> FolderMailbox:
        """Open a mailbox, which takes a context unless the disk is full."""
        opened = FullMailbox if self.disk_is_full else FolderMailbox
        return opened(folder, waits=waits, receives=receives)


class FullMailbox(FolderMailbox):
    """A mailbox on a full disk."""

    def put_context(self, context: bytes) -> None:
        """Fail."""
        raise ExchangeError(f"There is no space left for {len(context)} bytes. Free some.")


class Injector(dg.PipesEnvContextInjector):
    """A step's own injector."""


class World:
    """A step on a watched engine, and the Dagster instance that its launch is recorded in."""

    def __init__(self, folder: Path) -> None:
        self.engine = WatchedEngine()
        self.root = folder
        self.launched: list[str | None] = []
        self.storage_fails = self.asked_before = False

    def materialize(self, **client: Any) -> bool:
        @dg.asset(name="report")
        def step(context: dg.AssetExecutionContext) -> Any:
            drayage = DrayageClient(engine=self.engine, exchange_root=self.root, **client)
            yield from drayage.run(context=context, image="image").get_results()
            self.launched.append(last_launch(context, "drayage", context.run))

        with dg.DagsterInstance.ephemeral() as instance:
            report = instance.report_engine_event

            def report_and_tell(message: str, *arguments: Any, **keywords: Any) -> Any:
                if "Launched external run" not in message:
                    return report(message, *arguments, **keywords)
                if self.storage_fails:
                    self.engine.recorded.set()
                    raise RuntimeError("the storage fails")
                self.asked_before = self.engine.asked.wait(DEADLINE_S)
                event = report(message, *arguments, **keywords)
                self.engine.recorded.set()
                return event

            instance.report_engine_event = report_and_tell  # type: ignore[method-assign]
            succeeded = dg.materialize([step], instance=instance, raise_on_error=False).success
        for thread in threading.enumerate():
            if thread.name == "drayage-removal":
                thread.join()
        return succeeded


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_launch_is_recorded_while_the_engine_creates_the_container(world: World) -> None:
    """The host's own work costs a step no time, and a host that is killed has no container at work without record."""
    assert world.materialize()
    assert world.asked_before, "the launch was recorded before the engine was asked for the container"
    assert world.engine.created_in_time, "the engine's answer was waited for before the launch was recorded"
    assert world.engine.at_start == [(True, True)], "it was started before its launch was recorded, or its context put"
    assert world.launched[0] is not None
    assert world.engine.containers == {}


def test_the_environment_that_a_container_is_created_with_is_that_of_its_pipes_session(world: World) -> None:
    assert world.materialize()
    (record,) = (json.loads(path.read_bytes()) for path in world.root.rglob("container.json"))
    environment: Mapping[str, Any] = world.engine.specs[0].environment
    assert environment == record["environment"]
    assert len(environment) == 2


def test_an_environment_that_only_pipes_knows_is_waited_for(world: World) -> None:
    """An injector of the step's own decides what the container is told."""
    world.engine.asked.set()
    world.engine.recorded.set()
    assert world.materialize(context_injector=Injector())
    (record,) = (json.loads(path.read_bytes()) for path in world.root.rglob("container.json"))
    assert world.engine.specs[0].environment == record["environment"]
    assert WORKLOAD_CONTEXT not in {mount.target for mount in world.engine.specs[0].mounts}


def test_a_container_whose_launch_cannot_be_recorded_is_not_started_and_does_not_stay(world: World) -> None:
    world.storage_fails = True
    assert not world.materialize()
    assert len(world.engine.specs) == 1
    assert world.engine.at_start == []
    assert world.engine.containers == {}


def test_a_container_that_cannot_be_created_fails_the_step(world: World) -> None:
    world.engine.refusals["create"] = EngineUnavailableError("The engine does not answer.")
    assert not world.materialize()
    assert world.engine.at_start == []


def test_a_container_whose_context_cannot_be_written_is_not_started_and_does_not_stay(world: World) -> None:
    world.engine.disk_is_full = True
    assert not world.materialize()
    assert len(world.engine.specs) == 1
    assert world.engine.at_start == []
    assert world.engine.containers == {}
