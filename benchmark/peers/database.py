"""A PostgreSQL of its own for each service, in a container that is removed at the end."""

import contextlib
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import docker
from running_stack import BenchmarkError

_IMAGE = "drayage/postgres"
_READY_S = 60.0
_ROLES = ("POSTGRES", "DAGSTER_POSTGRES", "CATALOG_POSTGRES", "REGISTRY_POSTGRES")


@dataclass(frozen=True)
class Database:
    """An empty database, which its role owns.

    Args:
        port: Its port on 127.0.0.1.
        password: Password of the role.
        process: Id of the server's first process on this machine, or of the container's init.
    """

    port: int
    password: str
    process: int
    name: str = "dagster"
    user: str = "dagster"

    def url(self) -> str:
        """Return the database's address for SQLAlchemy."""
        return f"postgresql+psycopg2://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.name}"


@contextlib.contextmanager
def empty_database(engine: docker.DockerClient) -> Iterator[Database]:
    """Start PostgreSQL with an empty database, and remove it with its volumes at the end.

    Args:
        engine: The engine that runs it; its image is that of the stack.

    Raises:
        BenchmarkError: The image is missing, or the server does not answer in time.
    """
    environment = {f"{role}_PASSWORD": secrets.token_hex(16) for role in _ROLES}
    try:
        container = engine.containers.run(
            _IMAGE, detach=True, environment=environment, ports={"5432/tcp": ("127.0.0.1", None)}
        )
    except docker.errors.ImageNotFound as error:
        raise BenchmarkError(f"The image {_IMAGE} is missing: build it with 'make up'.") from error
    try:
        deadline = time.monotonic() + _READY_S
        while not _is_ready(container):
            if time.monotonic() > deadline:
                raise BenchmarkError(
                    f"PostgreSQL was not ready in {_READY_S:.0f} s: {container.logs(tail=20).decode()}"
                )
            time.sleep(0.1)
        yield Database(
            port=_port(container),
            password=environment["DAGSTER_POSTGRES_PASSWORD"],
            process=container.attrs["State"]["Pid"],
        )
    finally:
        container.remove(force=True, v=True)


def _port(container: Any) -> int:
    return int(container.ports["5432/tcp"][0]["HostPort"])


def _is_ready(container: Any) -> bool:
    container.reload()
    if container.status == "exited":
        raise BenchmarkError(f"PostgreSQL ended at its start: {container.logs(tail=20).decode()}")
    if container.status != "running":
        return False
    # Its own socket answers while the roles are set up; the network does afterwards.
    asked = container.exec_run(["pg_isready", "--quiet", "--host", "127.0.0.1"])
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", _port(container)), timeout=1):
        return bool(asked.exit_code == 0)
    return False
