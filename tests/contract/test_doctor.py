"""`drayage doctor` on a good machine, and on one where something is wrong."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import docker
import pytest
from command_line import CommandLine
from contract_steps import GREEN, SHELL_IMAGE, Deployment, materialize, shell, step, wait_until

from drayage import DrayageClient

pytestmark = pytest.mark.engine


def test_doctor_finds_a_good_machine_good_and_says_what_is_bad(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(GREEN)))
    findings = json.loads(cli("doctor", "--json"))
    assert {finding["what"] for finding in findings} == {
        "engine",
        f"image {SHELL_IMAGE}",
        "exchange root",
        "engine sees exchange root",
        "disk",
        "memory",
    }
    assert all(finding["good"] for finding in findings)
    assert "no-such-image' is not on the engine" in cli("doctor", "--image", "no-such-image", exits=1)
    assert "systemctl start docker" in cli("doctor", exits=1, DOCKER_HOST="unix:///no/such/socket")


def verdicts(cli: CommandLine, *words: str) -> dict[str, dict[str, Any]]:
    """What is found where something is bad."""
    return {finding["what"]: finding for finding in json.loads(cli("doctor", "--json", *words, exits=1))}


@pytest.mark.parametrize(
    ("option", "what", "expected"),
    [("--least-disk", "disk", "expected 1048576.0 at least"), ("--least-memory", "memory", "expected 1073741824 at")],
)
def test_too_little_of_what_is_asked_for_is_bad_and_nothing_else(
    cli: CommandLine, option: str, what: str, expected: str
) -> None:
    assert json.loads(cli("doctor", "--json"))
    found = verdicts(cli, option, "1024t")
    assert [name for name, finding in found.items() if not finding["good"]] == [what]
    assert expected in found[what]["text"]
    assert "expected a size such as 512m or 2g, got 'much'" in cli("doctor", option, "much", exits=2)


def test_an_exchange_root_that_is_missing_is_made_as_a_step_would_make_it(
    cli: CommandLine, deployment: Deployment
) -> None:
    assert not deployment.exchange_root.exists()
    assert "can be written" in cli("doctor")
    assert list((deployment.exchange_root / "replays").iterdir()) == [], "and nothing stays in it"


def test_an_exchange_root_that_is_a_file_is_bad(cli: CommandLine, deployment: Deployment) -> None:
    deployment.exchange_root.write_text("no folder", encoding="utf-8")
    found = verdicts(cli)
    assert not found["exchange root"]["good"]
    assert not found["engine sees exchange root"]["good"]
    assert str(deployment.exchange_root) in found["exchange root"]["text"]
    assert "Set DRAYAGE_EXCHANGE_ROOT" in found["exchange root"]["text"]


def test_an_exchange_root_that_cannot_be_made_is_bad(deployment: Deployment) -> None:
    """The kernel lets nobody make a folder there, not even root."""
    found = verdicts(CommandLine(replace(deployment, exchange_root=Path("/proc/drayage/exchange"))))
    for what in ("exchange root", "engine sees exchange root", "disk"):
        assert not found[what]["good"]
        assert "DRAYAGE_EXCHANGE_ROOT" in found[what]["text"]


def test_an_exchange_root_that_may_not_be_written_is_bad(cli: CommandLine, deployment: Deployment) -> None:
    """Root may write everywhere, and is kept from it here as everybody is."""
    as_everybody = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []
    deployment.exchange_root.mkdir(mode=0o555)
    command = [*as_everybody, *cli.words("doctor", "--json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 1, done.stderr
    found = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert [name for name, finding in found.items() if not finding["good"]] == [
        "exchange root",
        "engine sees exchange root",
    ]
    assert "Permission denied" in found["exchange root"]["text"]
    assert "Set DRAYAGE_EXCHANGE_ROOT" in found["exchange root"]["text"]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def service(docker_engine: docker.DockerClient, deployment: Deployment, python_image: str) -> Iterator[Any]:
    """A web server in a network of its own, as a stack has services beside its steps."""
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


def findings(cli: CommandLine, service: Any, *, exits: int) -> dict[str, dict[str, Any]]:
    found = json.loads(cli("doctor", "--json", exits=exits, DRAYAGE_NETWORK=service.network_name))
    return {finding["what"]: finding for finding in found}


def test_services_and_their_ports_have_a_verdict_each(cli: CommandLine, service: Any) -> None:
    name, port = f"service {service.name}", f"port {service.port}"
    wait_until(lambda: findings_of_port(service), what="the service's first answer")
    found = findings(cli, service, exits=0)
    assert found["services"]["good"]
    assert found[name]["good"]
    assert found[port]["good"]
    service.stop(timeout=1)
    stopped = findings(cli, service, exits=1)
    assert not stopped[name]["good"]
    assert f"docker start {service.name}" in stopped[name]["text"]
    assert "does not run" in stopped[port]["text"]
    with socket.create_server(("127.0.0.1", service.port)):
        assert "another program has it" in findings(cli, service, exits=1)[port]["text"]


def findings_of_port(service: Any) -> bool:
    try:
        socket.create_connection(("127.0.0.1", service.port), timeout=2).close()
    except OSError:
        return False
    return True


def test_a_network_that_is_not_there_is_named(cli: CommandLine) -> None:
    assert "no network 'no-such-network'" in cli("doctor", exits=1, DRAYAGE_NETWORK="no-such-network")
