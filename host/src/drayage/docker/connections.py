"""Opens the engine's client with one pool of connections for all its addresses.

docker-py keeps a pool for each address it asks, container ids included, and closes the one that was asked longest
ago when there are 25. Another thread may be reading an answer of that pool at this moment: of 240 containers that
twenty threads started, one or two were lost to ``'NoneType' object has no attribute 'qsize'`` (docker-py 7.1).
"""

from typing import Any

import docker
from docker.transport import UnixHTTPAdapter

# Twenty steps at once follow an output, wait for an end and ask a question each.
_KEPT_CONNECTIONS = 64
_ENGINE = "http+docker://localhost"


def open_client() -> docker.DockerClient:
    """Open a client of the environment's engine that any number of threads may share, unless it is reached by SSH.

    Raises:
        docker.errors.DockerException: The engine does not answer.
    """
    client = docker.from_env(max_pool_size=_KEPT_CONNECTIONS)
    # An engine behind TCP has one address for docker-py, and so one pool already.
    if client.api.base_url == _ENGINE and isinstance(adapter := client.api.get_adapter(_ENGINE), UnixHTTPAdapter):
        adapter.close()
        client.api.mount(
            "http+docker://",
            _OnePoolAdapter(
                f"http+unix://{adapter.socket_path}", timeout=adapter.timeout, max_pool_size=_KEPT_CONNECTIONS
            ),
        )
    return client


class _OnePoolAdapter(UnixHTTPAdapter):
    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:  # noqa: ARG002 - requests' signature
        return super().get_connection(_ENGINE)
