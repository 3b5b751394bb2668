"""The containers that share the steps' network without being steps: services, for `drayage doctor`."""

import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drayage.docker.connections import open_client
from drayage.docker.errors import engine_errors
from drayage.errors import EngineError
from drayage.identity import DEPLOYMENT

_CONNECT_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Port:
    """A port that a service publishes.

    Args:
        host: On the engine's machine.
        inside: Inside the service's container.
    """

    host: int
    inside: int


@dataclass(frozen=True)
class Service:
    """A service as the engine describes it.

    Args:
        name: Its container's name.
        status: ``running``, ``exited`` and the like.
        health: What its health check says: ``healthy``, ``unhealthy``, ``starting``; None if it has none.
        exit_code: Of one that has ended.
        runs_once: Whether it is meant to end.
        address: Its address in the network; empty if it does not run.
        ports: What it publishes, whether it runs or not.
    """

    name: str
    status: str
    health: str | None
    exit_code: int
    runs_once: bool
    address: str
    ports: Sequence[Port]

    def answers(self, port: Port) -> bool:
        """Tell whether a port accepts connections, from here or from inside the network."""
        return is_open("127.0.0.1", port.host) or (bool(self.address) and is_open(self.address, port.inside))


def is_open(address: str, port: int) -> bool:
    """Tell whether something accepts connections."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=_CONNECT_TIMEOUT_S):
        return True
    return False


def find_services(network: str) -> list[Service]:
    """List the containers in a network, running or not, that are neither steps nor what runs them.

    Args:
        network: Its name.

    Raises:
        EngineError: The engine does not answer, or has no such network.
    """
    with engine_errors("list the services"):
        client = open_client()
    with contextlib.closing(client), engine_errors("list the services"):
        if network not in {known.name for known in client.networks.list(names=[network])}:
            raise EngineError(
                f"The engine has no network {network!r}, which the steps join. Start the services that make it, or set "
                "DRAYAGE_NETWORK to another."
            )
        found = client.containers.list(all=True, filters={"network": network}, ignore_removed=True)
        services = [_service(found.attrs, network) for found in found if DEPLOYMENT not in found.labels]
    return sorted(services, key=lambda service: service.name)


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
