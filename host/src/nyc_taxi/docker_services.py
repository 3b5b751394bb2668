"""The stack's services as the container engine describes them: all in the steps' network that is not a step."""

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import docker
import docker.errors
import requests.exceptions

from drayage import EngineError

# drayage labels each container that it starts with its deployment, and compose.yml labels the run workers alike.
_STEP_LABEL = "drayage/deployment"
_CONNECT_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Port:
    """A port that a service publishes.

    Args:
        host: Its number on the engine's machine.
        inside: Its number inside the service's container.
    """

    host: int
    inside: int


@dataclass(frozen=True)
class Service:
    """A service as the engine describes it.

    Args:
        name: The name of its container.
        status: The container's status, such as ``running`` or ``exited``.
        health: The result of its health check: ``healthy``, ``unhealthy`` or ``starting``; None without a check.
        exit_code: The exit code of a service that has ended.
        runs_once: Whether it is meant to end.
        address: Its address in the network; empty if it does not run.
        ports: The ports that it publishes, whether it runs or not.
    """

    name: str
    status: str
    health: str | None
    exit_code: int
    runs_once: bool
    address: str
    ports: Sequence[Port]

    def answers(self, port: Port) -> bool:
        """Return whether a port accepts connections, from here or from inside the network."""
        return is_open("127.0.0.1", port.host) or (bool(self.address) and is_open(self.address, port.inside))


def is_open(address: str, port: int) -> bool:
    """Return whether something accepts connections at an address and port."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=_CONNECT_TIMEOUT_S):
        return True
    return False


def find_services(network: str) -> list[Service]:
    """List the containers in a network, running or not, that are neither steps nor run workers.

    Args:
        network: The name of the network.

    Returns:
        The services by name.

    Raises:
        drayage.EngineError: The engine does not answer, or has no such network.
    """
    with _engine_errors(), contextlib.closing(docker.from_env()) as client:
        if network not in {known.name for known in client.networks.list(names=[network])}:
            raise EngineError(
                f"The engine has no network {network!r}, which the steps join. Start the services, which create it, or "
                "set DRAYAGE_NETWORK to another network."
            )
        found = client.containers.list(all=True, filters={"network": network}, ignore_removed=True)
        services = [_service(one.attrs, network) for one in found if _STEP_LABEL not in one.labels]
    return sorted(services, key=lambda service: service.name)


@contextlib.contextmanager
def _engine_errors() -> Iterator[None]:
    """Raise EngineError, with what to do, for an error of the engine or of the connection to it."""
    try:
        yield
    except docker.errors.APIError as error:
        explanation = " ".join(str(error.explanation or error).split())
        raise EngineError(f"The engine refused to list the services: {explanation}") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        raise EngineError(
            f"The container engine at {address} does not answer the request to list the services "
            f"({type(error).__name__}: {error}). Start it (`systemctl start docker`), see that this user may "
            "open its socket, or set DOCKER_HOST."
        ) from error


def _service(attributes: Mapping[str, Any], network: str) -> Service:
    state, host = attributes["State"], attributes["HostConfig"]
    joined = attributes["NetworkSettings"]["Networks"].get(network) or {}
    return Service(
        name=attributes["Name"].lstrip("/"),
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status"),
        exit_code=state["ExitCode"],
        runs_once=host["RestartPolicy"]["Name"] in {"", "no"},
        address=joined.get("IPAddress") or "",
        ports=tuple(_ports(host.get("PortBindings") or {})),
    )


def _ports(bindings: Mapping[str, Any]) -> Iterator[Port]:
    for inside, published in bindings.items():
        number, _, protocol = inside.partition("/")
        for binding in published or () if protocol == "tcp" else ():
            if binding.get("HostPort"):
                yield Port(int(binding["HostPort"]), int(number))
