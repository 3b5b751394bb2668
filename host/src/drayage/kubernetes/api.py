"""Asks a cluster's API server: plain requests as JSON, and answers that stay open.

The official client loads the configuration (kubeconfigs with their plugins for credentials, and the service account of
a pod) and makes the connections. Its models of objects are left out: the JSON itself says all of it.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from kubernetes import config
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config.config_exception import ConfigException

from drayage.errors import ContainerGoneError, EngineError, EngineUnavailableError, SettingsError

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
# Enough for twenty steps at once, each of which follows output and makes one more request.
_KEPT_CONNECTIONS = 64
_CONNECT_S = 5.0
_ANSWER_S = 30.0
_LONGEST_ANSWER_CHARACTERS = 1000
_FIRST_FAILURE = 300
_UNKNOWN = 401
_NOT_ALLOWED = 403
_NOT_THERE = 404
_CONFLICT = 409
_TOO_MANY = 429
_WRONG = frozenset({400, 413, 422})
_AWAY = frozenset({_TOO_MANY, 500, 502, 503, 504})


class ConflictError(EngineError):
    """Somebody else has made or changed the same object."""


class RefusedError(EngineError):
    """The cluster does not take what it was given, or not now."""


@dataclass(frozen=True)
class Access:
    """How to connect to the API server at one moment: tokens expire.

    Args:
        server: Its address, such as ``https://10.0.0.1:6443``.
        headers: The headers that show who asks.
        configuration: The client's configuration, for certificates and proxies.
    """

    server: str
    headers: Mapping[str, str]
    configuration: Configuration


class Answer:
    """An answer that stays open; may be closed from another thread.

    Args:
        response: The response, whose content has not been read.
        doing: What was asked, for the error text.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, doing: str) -> None:
        self._response = response
        self._doing = doing
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield chunks as they arrive; end silently once it was closed.

        Raises:
            EngineUnavailableError: The connection was cut.
        """
        try:
            for chunk in self._response.stream(2**18):
                if self._closed:
                    return
                yield chunk
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            # The latter two are what a connection that another thread closes may say.
            if not self._closed:
                raise EngineUnavailableError(f"The cluster broke off: it could not {self._doing} ({error}).") from error
        finally:
            with contextlib.suppress(Exception):
                self._response.close()

    def lines(self) -> Iterator[bytes]:
        """Yield whole lines as they arrive, without their ends."""
        rest = b""
        for chunk in self:
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
        if rest:
            yield rest

    def close(self) -> None:
        """End it."""
        self._closed = True
        # A thread that waits for content does not notice that the response is closed.
        with contextlib.suppress(Exception):
            self._response.shutdown()


class Cluster:
    """The API server of one cluster, and one namespace of it.

    Args:
        namespace: The namespace; None takes the kubeconfig's, or the one that this process runs in.
        context: The kubeconfig's context; None takes its current one.
    """

    def __init__(self, *, namespace: str | None, context: str | None) -> None:
        self._namespace = namespace
        self._context = context
        self._lock = Lock()

    @cached_property
    def _configuration(self) -> Configuration:
        configuration = Configuration()
        configuration.connection_pool_maxsize = _KEPT_CONNECTIONS
        configuration.retries = False
        with _configuring():
            if self._has_kubeconfig:
                config.load_kube_config(_kubeconfig(), context=self._context, client_configuration=configuration)
            else:
                config.load_incluster_config(client_configuration=configuration)
        return configuration

    @cached_property
    def _has_kubeconfig(self) -> bool:
        return bool(os.environ.get("KUBECONFIG") or self._context) or not _is_inside()

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        pool: urllib3.PoolManager = RESTClientObject(self._configuration).pool_manager
        return pool

    @cached_property
    def namespace(self) -> str:
        """The namespace of the pods."""
        if self._namespace:
            return self._namespace
        with _configuring():
            if self._has_kubeconfig:
                contexts, current = config.list_kube_config_contexts(_kubeconfig())
                chosen = next((it for it in contexts if it["name"] == self._context), current)
                return str(chosen["context"].get("namespace") or "default")
            return _OWN_NAMESPACE.read_text(encoding="utf-8").strip()

    @property
    def access(self) -> Access:
        """How to connect now."""
        # One at a time: a plugin for credentials may ask somebody for them.
        with self._lock:
            configuration = self._configuration
            token = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return Access(configuration.host, {"authorization": token} if token else {}, configuration)

    def path(self, kind: str, name: str = "", part: str = "") -> str:
        """Return the path of a kind of objects in the namespace, of one of them, or of a part of one."""
        path = f"/api/v1/namespaces/{self.namespace}/{kind}"
        return "/".join([path, *(quote(each, safe="") for each in (name, part) if each)])

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        doing: str,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Ask, and return the answer.

        Args:
            method: HTTP's method.
            path: Path of the resource.
            body: What is sent, as JSON.
            doing: What the cluster is asked to do, for the error text.
            content_type: How the body is meant.
            query: Parameters.

        Raises:
            EngineError: The cluster refuses, fails or does not answer; of the kinds that this module and
                :mod:`drayage.errors` define.
        """
        response = self._send(
            method, path, body, doing=doing, content_type=content_type, read_s=_ANSWER_S, query=query or {}
        )
        with _silence(doing, self._address()):
            answer: dict[str, Any] = json.loads(response.data)
        return answer

    def open(self, path: str, *, doing: str, query: Mapping[str, str], read_s: float | None = None) -> Answer:
        """Ask, and return an answer that stays open.

        Args:
            path: Path of the resource.
            doing: What the cluster is asked to do, for the error text.
            query: Parameters.
            read_s: Longest silence in seconds; None bears any.

        Raises:
            EngineError: As for :meth:`request`.
        """
        response = self._send("GET", path, None, doing=doing, content_type=None, read_s=read_s, query=query, stays=True)
        return Answer(response, doing)

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        doing: str,
        content_type: str | None,
        read_s: float | None,
        query: Mapping[str, str],
        stays: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        access = self.access
        headers = {**access.headers, "accept": "application/json", "content-type": content_type or "application/json"}
        if stays:
            headers["accept"] = "*/*"
        with _silence(doing, access.server):
            response = self._pool.request(
                method,
                access.server + path + (f"?{urlencode(query)}" if query else ""),
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=_CONNECT_S, read=read_s),
                preload_content=not stays,
                retries=False,
            )
            if response.status >= _FIRST_FAILURE:
                content = response.data
                response.release_conn()
                raise api_error(response.status, content, doing)
        return response

    def _address(self) -> str:
        return str(self._configuration.host)


def api_error(status: int, content: bytes, doing: str) -> EngineError:
    """Return the error for an answer that is none.

    Args:
        status: HTTP's status.
        content: The answer's content: the API server's own description, or that of a proxy.
        doing: What the cluster was asked to do.
    """
    said = _explanation(content)
    kind: type[EngineError] = EngineError
    text = f"The cluster could not {doing} (status {status}): {said}."
    if status == _NOT_THERE and 'namespaces "' not in said:
        kind = ContainerGoneError
        text = f"The cluster could not {doing}: {said}. Either something else removed it, or it never existed."
    elif status == _NOT_ALLOWED:
        kind = RefusedError
        text = (
            f"The cluster does not allow this process to {doing}: {said}. Compare the rights of its account with "
            "deploy/kubernetes/role.yaml, and the limits of the namespace."
        )
    elif status == _UNKNOWN:
        kind = RefusedError
        text = f"The cluster does not know who asks it to {doing}: {said}. Renew the credentials."
    elif status == _CONFLICT:
        kind = ConflictError
    elif status in _WRONG:
        kind = RefusedError
    elif status in _AWAY:
        kind = EngineUnavailableError
    return kind(text)


@contextlib.contextmanager
def _configuring() -> Iterator[None]:
    """Raise our own error if the configuration names no cluster.

    Raises:
        SettingsError: It does not.
    """
    try:
        yield
    except (ConfigException, OSError, ValueError) as error:
        raise SettingsError(
            f"No cluster is configured ({error}): expected a kubeconfig that KUBECONFIG names, or to run in a pod with "
            "a service account. Nothing was started."
        ) from error


@contextlib.contextmanager
def _silence(doing: str, address: str) -> Iterator[None]:
    """Raise our own error if the cluster does not answer.

    Raises:
        EngineUnavailableError: It does not.
    """
    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise EngineUnavailableError(
            f"The cluster at {address} does not answer: it could not {doing} ({type(error).__name__}: {error}). Check "
            "the address in the kubeconfig, and the network."
        ) from error


def _explanation(content: bytes) -> str:
    text = content.decode(errors="replace")
    with contextlib.suppress(ValueError, AttributeError):
        text = json.loads(text).get("message") or text
    return " ".join(text.split())[:_LONGEST_ANSWER_CHARACTERS].rstrip(".")


def _kubeconfig() -> str:
    # The client itself would take the variable as it was when it was imported.
    return os.environ.get("KUBECONFIG") or "~/.kube/config"


def _is_inside() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and _OWN_NAMESPACE.exists()
