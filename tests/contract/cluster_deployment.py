"""What one test owns in a namespace of a cluster, with the names that :class:`contract_steps.Deployment` has for it.

A pod stands for its workload's container, so that the tests of steps need not know which of the two they run on.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from contract_steps import Deployment, wait_until
from kubernetes import client as kubernetes_client
from kubernetes import watch
from kubernetes.stream import stream
from kubernetes.utils.quantity import parse_quantity
from kubernetes_namespace import Namespace
from urllib3.exceptions import HTTPError

from drayage import DrayageClient
from drayage.kubernetes import KubernetesEngine, KubernetesSettings
from drayage.kubernetes.names import LABELS, pod_labels

_WORKLOAD = "workload"
_STATES = {"waiting": "created", "running": "running", "terminated": "exited"}
_SIGN = "drayage.test/sign"
_LISTENING_S = 5.0
_NOT_FOUND = 404


@dataclass
class PodContainer:
    """The container of a pod's workload, with the names that docker-py has for the same.

    Args:
        namespace: Where it is.
        pod: The pod as the API server described it.
    """

    namespace: Namespace
    pod: Any

    @property
    def id(self) -> str:
        return str(self.pod.metadata.name)

    @property
    def name(self) -> str:
        return self.id

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = json.loads(self.pod.metadata.annotations[LABELS])
        return labels

    @property
    def status(self) -> str:
        for each in self.pod.status.container_statuses or ():
            if each.name == _WORKLOAD:
                return next(_STATES[name] for name, state in each.state.to_dict().items() if state)
        return "exited" if self.pod.status.phase in {"Succeeded", "Failed"} else "created"

    @property
    def attrs(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(json.dumps(self.pod.to_dict(), default=str))
        return described

    def reload(self) -> None:
        self.pod = self.namespace.admin.read_namespaced_pod(self.id, self.namespace.name)

    def logs(self) -> bytes:
        text = self.namespace.admin.read_namespaced_pod_log(self.id, self.namespace.name, container=_WORKLOAD)
        return str(text).encode()

    def exec_run(self, command: Sequence[str]) -> None:
        """Run a command in it, unless it has ended meanwhile."""
        # For the time of the call, `stream` changes how its client asks.
        own = kubernetes_client.ApiClient(self.namespace.admin.api_client.configuration)
        call = kubernetes_client.CoreV1Api(own).connect_get_namespaced_pod_exec
        try:
            stream(call, self.id, self.namespace.name, container=_WORKLOAD, command=list(command), stdout=True)
        except (kubernetes_client.ApiException, AttributeError) as error:
            # A node reports an end up to some seconds late. The client cannot decode a refusal that has no body.
            wait_until(self._has_ended, what=f"the end of a pod in which nothing can be run ({error})", deadline_s=30)

    def remove(self, **_: bool) -> None:
        """Delete the pod as somebody else would; it may be kept for its reader, but it has ended."""
        self.namespace.admin.delete_namespaced_pod(self.id, self.namespace.name, grace_period_seconds=2)
        wait_until(self._has_ended, what="the end of a pod that was deleted")

    def _has_ended(self) -> bool:
        try:
            self.reload()
        except kubernetes_client.ApiException as error:
            if error.status == _NOT_FOUND:
                return True
            raise
        return self.status == "exited"


class PodStarts:
    """The pods that were ever made for a deployment, recorded as it happens.

    Args:
        namespace: Where they are made.
        selector: The pods, as the API server selects them.
    """

    def __init__(self, namespace: Namespace, selector: Mapping[str, str]) -> None:
        self._namespace = namespace
        self._selector = selector
        self._signs: set[str] = set()
        self._started: set[str] = set()
        where = {"label_selector": ",".join(f"{name}={value}" for name, value in selector.items())}
        call = namespace.admin.list_namespaced_pod
        version = call(namespace.name, **where).metadata.resource_version
        self._watch = watch.Watch()
        self._is_closed = threading.Event()
        self._events = self._watch.stream(call, namespace.name, resource_version=version, deserialize=False, **where)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def count(self) -> int:
        """Return how many there were up to now."""
        self._wait_for_a_sign()
        return len(self._started)

    def close(self) -> None:
        self._is_closed.set()
        self._watch.stop()
        # It may not have begun to listen.
        self._thread.join(timeout=_LISTENING_S)

    def _listen(self) -> None:
        try:
            for event in self._events:
                pod = event["object"]
                if _SIGN in pod["metadata"]["labels"]:
                    self._signs.add(pod["metadata"]["uid"])
                else:
                    self._started.add(pod["metadata"]["uid"])
        except (HTTPError, ValueError):
            # It is ended in the middle of whatever comes.
            if not self._is_closed.is_set():
                raise

    def _wait_for_a_sign(self) -> None:
        """Make a pod that no node takes and wait for its event: all earlier events have then arrived too."""
        sign = {
            "metadata": {"generateName": "sign-", "labels": {**self._selector, _SIGN: ""}},
            "spec": {"schedulingGates": [{"name": _SIGN}], "containers": [{"name": "none", "image": "none"}]},
        }
        made = self._namespace.admin.create_namespaced_pod(self._namespace.name, sign)
        self._namespace.admin.delete_namespaced_pod(made.metadata.name, self._namespace.name, grace_period_seconds=0)
        wait_until(lambda: made.metadata.uid in self._signs, what="a sign from the cluster")


@dataclass(frozen=True)
class ClusterDeployment(Deployment):
    """A deployment whose ``engine`` is a :class:`Namespace`, and whose ``events`` are :class:`PodStarts`."""

    # A pod joins no networks.
    network: ClassVar[str | None] = None
    advice: ClassVar[str] = "Check the address in the kubeconfig"

    @property
    def nowhere(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.engine.kubeconfig_of_nowhere())}

    def measuring_client(self) -> DrayageClient:
        return self.client(engine=KubernetesEngine(KubernetesSettings.load(usage=True)))

    def ran_out_of_memory(self, container: PodContainer) -> bool:
        (state,) = (each.state for each in container.pod.status.container_statuses if each.name == _WORKLOAD)
        return bool(state.terminated.reason == "OOMKilled")

    def limits(self, container: PodContainer) -> tuple[int, float]:
        (limits,) = (it.resources.limits for it in container.pod.spec.containers if it.name == _WORKLOAD)
        return int(parse_quantity(limits["memory"])), float(parse_quantity(limits["cpu"]))

    def everything(self) -> list[PodContainer]:
        pods = self.engine.pods(pod_labels({"drayage/deployment": self.name}))
        return [PodContainer(self.engine, pod) for pod in pods if LABELS in (pod.metadata.annotations or {})]

    def volumes(self) -> list[Any]:
        """Return nothing: the volumes of a pod go with it."""
        return []

    def signals(self) -> None:
        """Return nothing: a kubelet tells no one which signals it sends."""

    def starts(self) -> int:
        return self.events.count()

    def remove_everything(self) -> None:
        self.engine.remove(pod_labels({"drayage/deployment": self.name}))


def open_deployment(name: str, exchange_root: Path, namespace: Namespace) -> ClusterDeployment:
    """Return a deployment, and begin to record its pods."""
    return ClusterDeployment(
        name, exchange_root, namespace, PodStarts(namespace, pod_labels({"drayage/deployment": name}))
    )
