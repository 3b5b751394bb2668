"""The pipeline's additions to `drayage doctor`: the services beside the steps, and their ports."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from command_line import CommandLine
from contract_steps import Deployment, wait_until

pytestmark = pytest.mark.engine

CHECKS = {"DRAYAGE_DOCTOR_CHECKS": "nyc_taxi.doctor:examine_services"}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def service(docker_engine: docker.DockerClient, deployment: Deployment, python_image: str) -> Iterator[Any]:
    """Start a web server in its own network, like the services beside a stack's steps."""
    network = docker_engine.networks.create(f"{deployment.name}-services")
    port = free_port()
    container = docker_engine.containers.run(
        python_image,
        ["python3", "-m", "http.server", "8000"],
        name=f"{deployment.name}-service",
        network=network.name,
        ports={"8000/tcp": ("127.0.0.1", port)},
        detach=True,
        init=True,
    )
    try:
        container.port, container.network_name = port, network.name
        yield container
    finally:
        container.remove(force=True)
        network.remove()


def findings(cli: CommandLine, *, exits: int, **environment: str) -> dict[str, dict[str, Any]]:
    found = json.loads(cli("doctor", "--json", exits=exits, **environment))
    return {finding["what"]: finding for finding in found}


def service_findings(cli: CommandLine, service: Any, *, exits: int) -> dict[str, dict[str, Any]]:
    return findings(cli, exits=exits, DRAYAGE_NETWORK=service.network_name, **CHECKS)


def test_each_service_and_each_of_its_ports_has_a_finding(cli: CommandLine, service: Any) -> None:
    name, port = f"service {service.name}", f"port {service.port}"
    wait_until(lambda: answers(service), what="the service's first answer")
    found = service_findings(cli, service, exits=0)
    assert found["services"]["good"]
    assert found[name]["good"]
    assert found[port]["good"]
    service.stop(timeout=1)
    stopped = service_findings(cli, service, exits=1)
    assert not stopped[name]["good"]
    assert f"docker start {service.name}" in stopped[name]["text"]
    assert "does not run" in stopped[port]["text"]
    with socket.create_server(("127.0.0.1", service.port)):
        assert "another program has it" in service_findings(cli, service, exits=1)[port]["text"]


def answers(service: Any) -> bool:
    try:
        socket.create_connection(("127.0.0.1", service.port), timeout=2).close()
    except OSError:
        return False
    return True


def test_a_missing_network_is_named(cli: CommandLine) -> None:
    assert "no network 'no-such-network'" in cli("doctor", exits=1, DRAYAGE_NETWORK="no-such-network", **CHECKS)


def test_an_engine_that_does_not_answer_is_reported_with_what_to_do(cli: CommandLine) -> None:
    found = findings(cli, exits=1, DRAYAGE_NETWORK="any", DOCKER_HOST="unix:///no/such/socket", **CHECKS)["services"]
    assert not found["good"]
    assert "unix:///no/such/socket does not answer" in found["text"]
    assert "systemctl start docker" in found["text"]


def test_steps_without_a_network_have_no_services_beside_them(cli: CommandLine) -> None:
    assert not {name for name in findings(cli, exits=0, **CHECKS) if name.startswith(("service", "port"))}


def test_a_deployment_that_adds_no_checks_gets_only_the_runners_findings(cli: CommandLine, service: Any) -> None:
    found = findings(cli, exits=0, DRAYAGE_NETWORK=service.network_name)
    assert set(found) == {"engine", "exchange root", "mailbox", "disk", "memory"}
