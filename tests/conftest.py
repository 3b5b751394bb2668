"""Fixtures that tests share: a deployment of its own for each test, removed afterwards, and the session's stack."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import docker
import pytest
from command_line import CommandLine
from contract_steps import PYTHON_IMAGE, Deployment, EngineEvents
from elsewhere import Elsewhere, engine_elsewhere, what_is_missing
from engine_differences import expect_differences
from host_process import Host
from python_image import build_python_image
from stack import REPOSITORY, Stack

from drayage import DrayageClient


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect what differs on an engine that shares no files with the host."""
    expect_differences(items)


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """Return an engine that is reached through a network, and sees no exchange root of a test."""
    if missing := what_is_missing():
        pytest.skip(f"an engine elsewhere needs {missing}")
    with engine_elsewhere(Path(tempfile.gettempdir()), tmp_path_factory.getbasetemp()) as engine:
        yield engine


@pytest.fixture(scope="session")
def engine_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let everything in this process, and those that it starts, use an engine of one kind; see ``on_each_engine``."""
    kind: str = getattr(request, "param", "docker")
    given: dict[str, str] = {}
    taken: tuple[str, ...] = ()
    if kind == "remote-docker":
        given = request.getfixturevalue("elsewhere").tls
        # The tests' own clients, other than drayage's, would trust these and not the engine's certificate.
        taken = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    if kind == "kubernetes":
        given = request.getfixturevalue("namespace").environment
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        for name in taken:
            patch.delenv(name, raising=False)
        yield kind


@pytest.fixture(autouse=True)
def engine_of_the_test(engine_kind: str) -> str:
    """Bring back this machine's engine for a test that asks for no other, after one that did."""
    return engine_kind


@pytest.fixture(scope="session")
def docker_engine(engine_kind: str) -> Iterator[docker.DockerClient]:  # noqa: ARG001 - the environment names the engine
    engine = docker.from_env()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a namespace of the cluster that KUBECONFIG names, for the whole session."""
    from kubernetes_namespace import open_namespace  # noqa: PLC0415 - only where there is a cluster

    with open_namespace(tmp_path_factory.mktemp("cluster")) as namespace:
        yield namespace


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Return a Dagster instance with its event log on disk, as in a deployment."""
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield instance


@pytest.fixture
def deployment(request: pytest.FixtureRequest, engine_kind: str, tmp_path: Path) -> Iterator[Deployment]:
    """Return a deployment whose containers and volumes are removed at the end, also after a failure."""
    name = f"contract-{uuid.uuid4().hex[:8]}"
    deployment: Deployment
    if engine_kind == "kubernetes":
        from cluster_deployment import open_deployment  # noqa: PLC0415 - only where there is a cluster

        deployment = open_deployment(name, tmp_path / "exchange", request.getfixturevalue("namespace"))
    else:
        engine: docker.DockerClient = request.getfixturevalue("docker_engine")
        deployment = Deployment(name, tmp_path / "exchange", engine, EngineEvents(name))
    try:
        yield deployment
    finally:
        deployment.remove_everything()
        deployment.events.close()


@pytest.fixture
def client(deployment: Deployment) -> DrayageClient:
    return deployment.client()


@pytest.fixture
def cli(deployment: Deployment) -> CommandLine:
    return CommandLine(deployment)


@pytest.fixture(scope="session")
def python_image(docker_engine: docker.DockerClient, engine_kind: str) -> str:
    """Build the image for this machine's engine; other engines have it (``tests/run`` loads it into a cluster)."""
    if engine_kind != "docker":
        return PYTHON_IMAGE
    build_python_image(docker_engine)
    return PYTHON_IMAGE


@pytest.fixture
def host(tmp_path: Path, deployment: Deployment) -> Iterator[Host]:
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        host = Host(home, instance, deployment)
        try:
            yield host
        finally:
            for process in host.processes:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def stack() -> Stack:
    """Return the test stack that `make test` starts and removes; its landing zone holds the two real months."""
    environment_file = Path(os.environ.get("DRAYAGE_ENV_FILE", REPOSITORY / ".env.test"))
    if not environment_file.exists():
        pytest.fail(f"{environment_file} is missing: these tests need the test stack, which `make test` starts")
    stack = Stack(environment_file)
    done = stack.land(REPOSITORY / "tests" / "data")
    assert done.exit_code == 0, done.output
    return stack


@pytest.fixture(scope="session")
def real_months(stack: Stack) -> Stack:
    """Return the stack after one run of each real month, January first."""
    for month in ("2019-01", "2019-02"):
        launch = stack.launch(month)
        assert launch.exit_code == 0, launch.output
    return stack
