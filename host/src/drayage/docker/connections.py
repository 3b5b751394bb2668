"""Opens a Docker client with one connection pool for all URLs.

docker-py keeps one pool per URL, container ids included, and closes the least recently used one once it has 25.
Another thread may still be reading a response from that pool: of 240 containers that twenty threads started, one or two
were lost to ``'NoneType' object has no attribute 'qsize'`` (docker-py 7.1).
"""

import socket
from typing import Any

import docker
import requests
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.transport import UnixHTTPAdapter
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

from drayage.docker.address import find_address
from drayage.docker.tunnel import Tunnel

# Enough for twenty steps at once, each of which follows output, waits for the container and makes one more request.
_KEPT_CONNECTIONS = 64
_ENGINE = "http+docker://localhost"
# A network that lost a connection says nothing: without a sign of life, what waits on it would wait for ever.
_SIGNS_OF_LIFE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


def open_client() -> docker.DockerClient:
    """Open a client for the engine that the environment names; any number of threads may share it.

    Raises:
        SettingsError: The environment names no engine that can be reached from here.
        EngineUnavailableError: The tunnel to it cannot be opened.
        docker.errors.DockerException: The engine does not answer.
    """
    address = find_address()
    tunnel = Tunnel(address.url) if address.url is not None and address.url.startswith("ssh://") else None
    client = docker.DockerClient(
        base_url=address.url if tunnel is None else f"unix://{tunnel.require()}",
        tls=address.tls or False,
        max_pool_size=_KEPT_CONNECTIONS,
        # Any one, so that nothing is asked before the connections are set up.
        version=DEFAULT_DOCKER_API_VERSION,
    )
    api: Any = client.api
    # No proxy, no password of a `.netrc` and no REQUESTS_CA_BUNDLE applies to an engine: requests would look for them
    # at every request, a fifth of its time, and let the bundle win over the certificate that Docker's settings name.
    api.trust_env = False
    if api.base_url == _ENGINE and isinstance(adapter := api.get_adapter(_ENGINE), UnixHTTPAdapter):
        adapter.close()
        api.mount(
            "http+docker://",
            _OnePoolAdapter(
                f"http+unix://{adapter.socket_path}",
                tunnel,
                timeout=adapter.timeout,
                max_pool_size=_KEPT_CONNECTIONS,
            ),
        )
    else:
        for scheme in ("http://", "https://"):
            api.mount(scheme, _NetworkAdapter(pool_maxsize=_KEPT_CONNECTIONS))
    try:
        api._version = api._retrieve_server_version()  # noqa: SLF001 - what docker-py does when it is not given one
    except BaseException:
        client.close()
        raise
    return client


class _OnePoolAdapter(UnixHTTPAdapter):
    def __init__(self, url: str, tunnel: Tunnel | None, **settings: Any) -> None:
        super().__init__(url, **settings)
        self._tunnel = tunnel

    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:  # noqa: ARG002 - requests' signature
        if self._tunnel is not None:
            path = self._tunnel.require()
            if path != self.socket_path:
                # It was opened again, elsewhere.
                self.socket_path = path
                self.pools.clear()
        return super().get_connection(_ENGINE)

    def send(self, *arguments: Any, **settings: Any) -> requests.Response:
        try:
            return super().send(*arguments, **settings)
        except requests.exceptions.ConnectionError as error:
            if self._tunnel is None or not (said := self._tunnel.said()):
                raise
            raise requests.exceptions.ConnectionError(f"{error} (ssh says: {said})") from error

    def close(self) -> None:
        super().close()
        if self._tunnel is not None:
            self._tunnel.close()


class _NetworkAdapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        options = [*HTTPConnection.default_socket_options, *_SIGNS_OF_LIFE]
        super().init_poolmanager(*arguments, socket_options=options, **settings)
