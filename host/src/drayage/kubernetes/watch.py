"""Keeps the API server's last word about pods, with one request for all of them that stays open.

Whoever waits for a pod waits here, and asks nothing: a step that is silent costs no request.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from threading import Condition, Event, Lock, Thread
from typing import Any, TypeVar

from drayage.errors import EngineError, EngineUnavailableError
from drayage.kubernetes.api import Cluster
from drayage.kubernetes.states import Pod

_WATCH_S = 3000
_SILENCE_S = 120.0
_SHORTEST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_PAGE = "500"

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


class PodWatch:
    """The pods that match a selector.

    The thread begins with :meth:`start`, and ends with :meth:`close`.

    Args:
        cluster: The cluster.
        selector: ``labelSelector`` or ``fieldSelector``, and its value.
    """

    def __init__(self, cluster: Cluster, selector: Mapping[str, str]) -> None:
        self._cluster = cluster
        self._selector = dict(selector)
        self._lock = Lock()
        # One a pod, or each change would wake everybody who waits for any of many.
        self._changes: dict[str, Condition] = {}
        # None: it was there and is gone.
        self._pods: dict[str, Pod | None] = {}
        self._error: EngineError | None = None
        self._closed = Event()
        self._thread = Thread(target=self._run, name="drayage-pods", daemon=True)

    def start(self) -> None:
        """Begin to watch; a second call does nothing."""
        with self._lock:
            if self._thread.ident is None:
                self._thread.start()

    def close(self) -> None:
        """End it, at the next change at the latest."""
        self._closed.set()

    def knows(self, name: str) -> bool:
        """Return whether a pod is or was among those that are watched."""
        with self._lock:
            return name in self._pods

    def get(self, name: str) -> Pod | None:
        """Return a pod as it was last described; None if it is gone."""
        with self._lock:
            return self._pods.get(name)

    def note(self, pod: Pod) -> None:
        """Take what another request said of a pod."""
        with self._lock:
            self._keep(pod)

    def forget(self, name: str) -> None:
        """Take no more notice of a pod, which was removed; whoever waits for it finds it gone."""
        with self._lock:
            self._set(name, None)

    def wait(self, name: str, answer: Callable[[Pod | None], _Answer | None], timeout_s: float) -> _Answer | None:
        """Wait until a pod answers a question, and return the answer; None if it does not in time.

        Args:
            name: Name of the pod.
            answer: Called with the pod now and whenever it changes; None is no answer.
            timeout_s: Longest time, in seconds.

        Raises:
            EngineError: The pods cannot be watched.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            change = self._changes.setdefault(name, Condition(self._lock))
            while True:
                # One that was never seen has not been made yet.
                if name in self._pods:
                    found = answer(self._pods[name])
                    if found is not None:
                        return found
                if self._error is not None:
                    raise self._error
                left_s = deadline - time.monotonic()
                if left_s <= 0 or self._closed.is_set():
                    return None
                change.wait(left_s)

    def _run(self) -> None:
        pause_s = _SHORTEST_PAUSE_S
        while not self._closed.is_set():
            begun_at = time.monotonic()
            try:
                self._watch_once()
            except Exception as error:  # noqa: BLE001 - whoever waits must learn of it, whatever it is
                self._fail(EngineError(f"The pods cannot be watched: {error!r}"))
            # A watch that ends at once each time must not become a flood of requests.
            if time.monotonic() - begun_at > _LONGEST_PAUSE_S:
                pause_s = _SHORTEST_PAUSE_S
            self._closed.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _watch_once(self) -> None:
        try:
            version = self._list()
        except EngineError as error:
            self._fail(error)
            return
        try:
            self._follow(version)
        except EngineUnavailableError as error:
            # Connections are cut, and proxies end them: only if the list then fails do those learn of it who wait.
            _log.info("%s", error)

    def _list(self) -> str:
        """Take all pods, and return the version from which to watch on."""
        with self._lock:
            before = set(self._pods)
        found = self._cluster.request(
            "GET", self._cluster.path("pods"), doing="list pods", query={**self._selector, "limit": _PAGE}
        )
        items: list[Pod] = found["items"]
        while more := found["metadata"].get("continue"):
            query = {**self._selector, "limit": _PAGE, "continue": more}
            found = self._cluster.request("GET", self._cluster.path("pods"), doing="list pods", query=query)
            items += found["items"]
        with self._lock:
            for pod in items:
                self._keep(pod)
            # One that was made meanwhile is not in the list, and is there.
            for name in before - {pod["metadata"]["name"] for pod in items}:
                self._set(name, None)
            self._error = None
        return str(found["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> None:
        query = {
            **self._selector,
            "watch": "1",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_S),
            "allowWatchBookmarks": "true",
        }
        # Bookmarks come about once a minute: silence means that the connection is dead.
        answer = self._cluster.open(self._cluster.path("pods"), doing="watch pods", query=query, read_s=_SILENCE_S)
        try:
            for line in answer.lines():
                if self._closed.is_set():
                    return
                if line and not self._take(json.loads(line)):
                    return
        finally:
            answer.close()

    def _take(self, event: Mapping[str, Any]) -> bool:
        """Take one event; return whether the watch goes on."""
        kind, pod = event["type"], event["object"]
        if kind == "ERROR":
            # Most often 410: the version is too old. All are listed again.
            _log.info("watching pods begins again: %s", pod.get("message"))
            return False
        if kind == "BOOKMARK":
            return True
        with self._lock:
            if kind == "DELETED":
                self._set(pod["metadata"]["name"], None)
            else:
                self._keep(pod)
        return True

    def _keep(self, pod: Pod) -> None:
        known = self._pods.get(pod["metadata"]["name"])
        # An answer to another request may be older than what the watch has said meanwhile.
        if known is None or _version(pod) >= _version(known) or _uid(pod) != _uid(known):
            self._set(pod["metadata"]["name"], pod)

    def _set(self, name: str, pod: Pod | None) -> None:
        self._pods[name] = pod
        if name in self._changes:
            self._changes[name].notify_all()

    def _fail(self, error: EngineError) -> None:
        _log.info("%s", error)
        with self._lock:
            self._error = error
            for change in self._changes.values():
                change.notify_all()


def _version(pod: Pod) -> int:
    version = pod["metadata"].get("resourceVersion", "0")
    return int(version) if version.isdigit() else 0


def _uid(pod: Pod) -> str:
    return str(pod["metadata"].get("uid", ""))
