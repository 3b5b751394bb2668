"""Awaits the end of a pod's workload: its own, one that comes from outside, or that of the hope that it starts."""

import time
from collections.abc import Callable
from threading import Lock

from drayage.engine import ContainerState, gone
from drayage.errors import EngineError
from drayage.kubernetes.api import MERGE_PATCH, Cluster
from drayage.kubernetes.names import FAILURE
from drayage.kubernetes.removal import delete_pod
from drayage.kubernetes.settings import KubernetesSettings
from drayage.kubernetes.states import Pod, has_ended, is_leaving, is_over, read_state
from drayage.kubernetes.troubles import Trouble, ender, is_starting, lost_node, starting_trouble, trouble_of_events
from drayage.kubernetes.watch import PodWatch

_LOOK_S = 1.0
# Events are asked for while a pod starts, ever more rarely.
_FIRST_EVENTS_S = 3.0
_EVENTS_FACTOR = 1.6
_LONGEST_TEXT = 3000


class NodeLostError(EngineError):
    """A pod's node is out of reach, so that whether the workload ended is unknown: it may be at work still."""


class Endings:
    """The ends of one engine's pods.

    Args:
        cluster: The cluster.
        settings: The deployment's settings.
        is_ours: Returns whether this process itself ended a pod.
    """

    def __init__(self, cluster: Cluster, settings: KubernetesSettings, is_ours: Callable[[str], bool]) -> None:
        self._cluster = cluster
        self._settings = settings
        self._is_ours = is_ours
        self._lock = Lock()
        self._waiting: dict[str, _Patience] = {}

    def state(self, pod: Pod) -> ContainerState:
        """Return a pod as a container."""
        return read_state(pod, blame="" if self._is_ours(pod["metadata"]["name"]) else ender(pod))

    def await_end(self, watch: PodWatch, name: str, timeout_s: float) -> ContainerState | None:
        """Return a pod's last state once its workload has ended, is gone, or cannot start.

        Args:
            watch: Knows the pod, or will.
            name: Name of the pod.
            timeout_s: Longest time, in seconds.

        Raises:
            NodeLostError: Its node is out of reach.
            EngineError: The cluster refuses or does not answer.
        """
        deadline = time.monotonic() + timeout_s
        known = watch.wait(name, lambda pod: (pod,), timeout_s)
        while known is not None:
            (pod,) = known
            state = self._end_of(watch, name, pod)
            left_s = deadline - time.monotonic()
            if state is not None or left_s <= 0 or pod is None:
                return state
            look_s = min(left_s, _LOOK_S) if is_leaving(pod) or _is_pending(pod) else left_s
            seen = pod
            known = watch.wait(name, lambda now, seen=seen: None if now is seen else (now,), look_s) or (seen,)  # type: ignore[misc]
        return None

    def give_up(self, watch: PodWatch, name: str, text: str) -> None:
        """End a pod whose workload does not start, and write the reason on it.

        Args:
            watch: Knows the pod.
            name: Name of the pod.
            text: The reason, as a clause.

        Raises:
            EngineError: The cluster refuses or does not answer.
        """
        failed = {"metadata": {"annotations": {FAILURE: text[:_LONGEST_TEXT]}}}
        path = self._cluster.path("pods", name)
        doing = f"note on pod {name} why it does not start"
        watch.note(self._cluster.request("PATCH", path, failed, doing=doing, content_type=MERGE_PATCH))
        delete_pod(self._cluster, name, 0)

    def _end_of(self, watch: PodWatch, name: str, pod: Pod | None) -> ContainerState | None:
        if pod is None:
            return gone(name)
        if not has_ended(pod):
            if lost := lost_node(pod, time.time()):
                raise NodeLostError(
                    f"The end of pod {name} cannot be learned: {lost}. Its workload may still be at work there. Remove "
                    "the node from the cluster if it is gone for good, then run the step again."
                )
            trouble = self._trouble(name, pod)
            if trouble is None:
                return None
            self.give_up(watch, name, trouble.text)
            pod = watch.get(name) or pod
        with self._lock:
            self._waiting.pop(name, None)
        return self.state(pod)

    def _trouble(self, name: str, pod: Pod) -> Trouble | None:
        """Return why a pod does not start, if that has been given enough time."""
        if not _is_pending(pod):
            return None
        with self._lock:
            patience = self._waiting.setdefault(name, _Patience())
        trouble = starting_trouble(pod)
        if trouble is None and is_starting(pod) and patience.asks_for_events():
            trouble = patience.trouble = self._ask_for_events(name)
        if trouble is None:
            trouble = patience.trouble
        if trouble is None or (trouble.may_pass and patience.age_s < self._settings.pending_s):
            return None
        return trouble

    def _ask_for_events(self, name: str) -> Trouble | None:
        found = self._cluster.request(
            "GET",
            self._cluster.path("events"),
            doing=f"list the events of pod {name}",
            query={"fieldSelector": f"involvedObject.kind=Pod,involvedObject.name={name}"},
        )
        return trouble_of_events(found["items"])


class _Patience:
    """How long a pod has been waited for."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._next_events_s = _FIRST_EVENTS_S
        self.trouble: Trouble | None = None

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._since

    def asks_for_events(self) -> bool:
        """Return whether it is time to ask for events."""
        if self.age_s < self._next_events_s:
            return False
        self._next_events_s = _EVENTS_FACTOR * self.age_s
        return True


def _is_pending(pod: Pod) -> bool:
    """Return whether a pod's workload is still to start."""
    return not is_leaving(pod) and not is_over(pod) and (not pod["spec"].get("nodeName") or is_starting(pod))
