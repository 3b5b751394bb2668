"""Opens a Docker client with one connection pool for all URLs.

docker-py keeps one pool per URL, container ids included, and closes the least recently used one once it has 25.
Another thread may still be reading a response from that pool: of 240 containers that twenty threads started, one or two
were lost to ``'NoneType' object has no attribute 'qsize'`` (docker-py 7.1).
"""

from typing import Any

import docker
from docker.transport import UnixHTTPAdapter

# Enough for twenty steps at once, each of which follows output, waits for the container and makes one more request.
_KEPT_CONNECTIONS = 64
_ENGINE = "http+docker://localhost"


def open_client() -> docker.DockerClient:
    """Open a client for the engine that the environment names.

    Any number of threads may share it, unless the engine is reached over SSH.

    Raises:
        docker.errors.DockerException: The engine does not answer.
    """
    client = docker.from_env(max_pool_size=_KEPT_CONNECTIONS)
    # docker-py uses one URL for an engine reached over TCP, and therefore already has one pool.
    if client.api.base_url == _ENGINE and isinstance(adapter := client.api.get_adapter(_ENGINE), UnixHTTPAdapter):
        adapter.close()
        # No proxy and no password of a `.netrc` applies to a socket, and requests would look for both at every request:
        # a fifth of a request's time.
        client.api.trust_env = False
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
