"""A Dagster instance whose runs go to run workers on standby, with a code server in a container."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import docker
import pytest
import yaml
from contract_steps import wait_until
from dagster._cli.job import _create_run
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._grpc.client import DagsterGrpcClient

from drayage import StandbyRunLauncher
from drayage.dagster_internals import instance_id
from drayage.docker.run_workers import RunWorkers
from drayage.identity import DEPLOYMENT, STANDBY
from drayage.launcher.current import CurrentBlueprints
from drayage.launcher.keeper import Keeper
from drayage.launcher.pool import Pool, Worker

REPOSITORY = Path(__file__).parents[2]
HOST_IMAGE = "drayage/host"
MEMORY_BYTES = 400 * 2**20
_SOURCES = REPOSITORY / "host" / "src"
_LOCATION = Path(__file__).with_name("standby_location.py")
_PORT = 4000


class Bench:
    """The instance, its code server, and what keeps its run workers ready.

    Args:
        name: Name of the deployment, and of the image that its code location is in.
        home: Its folder, which the containers see at the same path.
        engine: The engine.
    """

    def __init__(self, name: str, home: Path, engine: docker.DockerClient) -> None:
        self.name = name
        self.image = f"{name}:latest"
        self.home = home
        self.engine = engine
        self.context: Any = None
        self._port = _free_port()
        engine.images.get(HOST_IMAGE).tag(name, "latest")
        shutil.copy(_LOCATION, home / _LOCATION.name)
        self.write_state("one")
        (home / "dagster.yaml").write_text(
            yaml.safe_dump({"run_launcher": self._launcher_config(), "telemetry": {"enabled": False}})
        )
        self.code_server = engine.containers.run(
            self.image,
            [
                "dagster",
                "code-server",
                "start",
                "--host",
                "0.0.0.0",  # noqa: S104 - within its container
                "--port",
                str(_PORT),
                "--module-name",
                _LOCATION.stem,
            ],
            detach=True,
            environment={"DAGSTER_CURRENT_IMAGE": self.image, **self._environment},
            labels={DEPLOYMENT: name},
            ports={f"{_PORT}/tcp": ("127.0.0.1", self._port)},
            **self._options,
        )
        self.instance = dg.DagsterInstance.from_config(str(home))

    def connect(self) -> None:
        """Wait for the code server, and load what it has."""
        client = DagsterGrpcClient(host="127.0.0.1", port=self._port)
        wait_until(lambda: client.health_check_query() == "SERVING", what="the code server")
        target = GrpcServerTarget(host="127.0.0.1", port=self._port, socket=None, location_name="tests")
        self.context = WorkspaceProcessContext(self.instance, target).__enter__()

    @property
    def _environment(self) -> dict[str, str]:
        # The sources of this tree, with the libraries of the image.
        return {"PYTHONPATH": f"/app/src:{self.home}", "DAGSTER_HOME": str(self.home)}

    @property
    def _options(self) -> dict[str, Any]:
        volumes = [f"{self.home}:{self.home}", f"{_SOURCES}:/app/src:ro"]
        return {"volumes": volumes, "user": f"{os.getuid()}:{os.getgid()}", "init": True}

    def _launcher_config(self) -> dict[str, Any]:
        variables = ["STANDBY_TEST", *(f"{name}={value}" for name, value in self._environment.items())]
        options = {**self._options, "mem_limit": MEMORY_BYTES, "stop_timeout": 10}
        config = {"env_vars": variables, "container_kwargs": options}
        return {"module": "drayage", "class": "StandbyRunLauncher", "config": config}

    def write_state(self, state: str) -> None:
        """Write the state that the definitions are made from when a code server loads them."""
        (self.home / "state.txt").write_text(state)

    def reload(self, version: str) -> None:
        """Change the location's code, and let the code server load it."""
        path = self.home / _LOCATION.name
        path.write_text(re.sub(r"^VERSION = .*$", f'VERSION = "{version}"', path.read_text(), flags=re.MULTILINE))
        self.context.reload_code_location("tests")

    @property
    def launcher(self) -> StandbyRunLauncher:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, StandbyRunLauncher)
        return launcher

    def blueprints(self) -> CurrentBlueprints:
        return CurrentBlueprints(self.launcher, self.context.create_request_context)

    def keeper(self, *, standby: int = 1, **arguments: Any) -> Keeper:
        return Keeper(self.launcher.pool, self.blueprints(), self.instance, standby=standby, **arguments)

    def pool(self) -> Pool:
        """Return the run workers, as a process of its own sees them."""
        return Pool(RunWorkers(), deployment=self.name, instance_id=instance_id(self.instance))

    def make_ready(self, count: int = 1) -> list[Worker]:
        """Let run workers be made until there are so many, and all are ready."""
        keeper = self.keeper(standby=count)

        def ready() -> list[Worker]:
            keeper.tend()
            workers = self.pool().workers()
            return workers if [it.condition for it in workers] == ["ready"] * count else []

        return list(wait_until(ready, what=f"{count} run workers that are ready"))

    def create_run(self, job: str) -> str:
        """Plan a run as Dagster's command line does, and return its id."""
        workspace = self.context.create_request_context()
        (location,) = workspace.code_locations
        (repository,) = location.get_repositories().values()
        full = repository.get_full_job(job)
        return _create_run(self.instance, location, repository, full, {}, None, None, None).run_id

    def launch(self, job: str) -> str:
        """Launch a run at once, and return its id."""
        run_id = self.create_run(job)
        self.instance.launch_run(run_id, self.context.create_request_context())
        return run_id

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """Run ``drayage daemon`` in a process of its own within the block; it must end well when it is told to."""
        server = {"host": "127.0.0.1", "port": self._port, "location_name": "tests"}
        workspace = self.home / "workspace.yaml"
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
        command = [sys.executable, "-m", "drayage.cli", "daemon", "--workspace", str(workspace)]
        environment = {**os.environ, "DAGSTER_HOME": str(self.home), "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, env=environment) as process:  # noqa: S603 - ours
            try:
                yield
                process.terminate()
                assert process.wait(60) == 0
            finally:
                process.kill()

    def run(self, run_id: str) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def wait_for(self, run_id: str, status: str = "SUCCESS") -> None:
        def has() -> bool:
            now = self.run(run_id)
            assert now.status.value == status or not now.is_finished, (now.status, self.messages(run_id))
            return now.status.value == status

        wait_until(has, what=f"status {status} of run {run_id}")

    def container(self, run_id: str) -> Any:
        """Return the container that a run names as its own."""
        return self.engine.containers.get(self.run(run_id).tags["docker/container_id"])

    def stood_by(self, run_id: str) -> bool:
        return STANDBY in self.container(run_id).labels

    def word_of(self, run_id: str) -> str:
        path = self.home / f"{run_id}.txt"
        return path.read_text() if path.exists() else ""

    def messages(self, run_id: str) -> str:
        return "\n".join(entry.user_message or entry.message for entry in self.instance.all_logs(run_id))

    def remove_workers(self) -> None:
        """Remove every run worker of the instance."""
        for container in self.engine.containers.list(
            all=True, ignore_removed=True, filters={"label": f"{DEPLOYMENT}={self.name}"}
        ):
            if container.id != self.code_server.id:
                container.remove(force=True)
        # The ordinary ones carry only what the launcher's settings say, which is nothing here.
        for container in self.engine.containers.list(
            all=True, ignore_removed=True, filters={"ancestor": self.image, "label": "dagster/run_id"}
        ):
            if self.instance.has_run(container.labels["dagster/run_id"]):
                container.remove(force=True)


@contextmanager
def open_bench(name: str, home: Path, engine: docker.DockerClient) -> Iterator[Bench]:
    """Open a bench, and remove everything that is left of it at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRAYAGE_DEPLOYMENT", name)
        patch.setenv("STANDBY_TEST", "")
        bench = Bench(name, home, engine)
        try:
            bench.connect()
            yield bench
        finally:
            if bench.context is not None:
                bench.context.__exit__(None, None, None)
            bench.remove_workers()
            bench.code_server.remove(force=True)
            engine.images.remove(bench.image, force=True)
            bench.instance.dispose()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
