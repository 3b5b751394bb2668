"""Ends pods and removes them, and leaves no container behind on a node.

A pod has a finalizer until it has been read, so that its exit code survives whoever deletes it. Of a pod that is being
deleted, the finalizer goes only when all containers have ended: without it, the description may go first, and leave
containers running unknown.
"""

import contextlib
import math
import time

from drayage.errors import ContainerGoneError, EngineError
from drayage.kubernetes.api import MERGE_PATCH, Cluster
from drayage.kubernetes.names import FINALIZER
from drayage.kubernetes.states import Pod, is_leaving, is_over
from drayage.kubernetes.troubles import lost_node
from drayage.kubernetes.watch import PodWatch

# With less, the kubelet counts two seconds nevertheless, and the relay would be killed with the workload.
_LEAST_GRACE_S = 2
_END_S = 60.0
_GONE_S = 15.0
_LOOK_S = 2.0


def delete_pod(cluster: Cluster, name: str, grace_s: float) -> None:
    """Let a pod's containers end; do nothing if it is gone.

    Args:
        cluster: The cluster.
        name: Name of the pod.
        grace_s: How long they have between SIGTERM and SIGKILL, in seconds; not less than two.

    Raises:
        EngineError: The cluster refuses or does not answer.
    """
    grace = max(_LEAST_GRACE_S, math.ceil(grace_s))
    with contextlib.suppress(ContainerGoneError):
        cluster.request("DELETE", cluster.path("pods", name), {"gracePeriodSeconds": grace}, doing=f"end pod {name}")


def remove_pod(cluster: Cluster, watch: PodWatch, name: str) -> None:
    """End a pod if it runs, and remove it; do nothing if it is gone.

    Args:
        cluster: The cluster.
        watch: Knows the pod.
        name: Name of the pod.

    Raises:
        EngineError: The cluster refuses or does not answer, or the node does not end the pod.
    """
    pod = watch.get(name)
    if pod is None:
        return
    if not is_over(pod):
        delete_pod(cluster, name, 0)
        _await_end(watch, name)
    _let_go(cluster, watch.get(name), name)
    if watch.wait(name, lambda known: True if known is None else None, _GONE_S) is None:
        raise EngineError(f"Pod {name} was removed, and is still there after {_GONE_S:.0f} s: something else holds it.")


def release_pod(cluster: Cluster, pod: Pod) -> None:
    """Let a pod that was read go with whoever deletes it; do nothing if it is gone.

    Args:
        cluster: The cluster.
        pod: The pod.

    Raises:
        EngineError: The cluster refuses or does not answer.
    """
    name = pod["metadata"]["name"]
    held_by = pod["metadata"].get("finalizers") or ()
    if FINALIZER not in held_by:
        return
    others = [it for it in held_by if it != FINALIZER]
    with contextlib.suppress(ContainerGoneError):
        path, body = cluster.path("pods", name), {"metadata": {"finalizers": others}}
        cluster.request("PATCH", path, body, doing=f"release pod {name}", content_type=MERGE_PATCH)


def _let_go(cluster: Cluster, pod: Pod | None, name: str) -> None:
    if pod is None:
        return
    release_pod(cluster, pod)
    if not is_leaving(pod):
        with contextlib.suppress(ContainerGoneError):
            cluster.request("DELETE", cluster.path("pods", name), {}, doing=f"remove pod {name}")


def _await_end(watch: PodWatch, name: str) -> None:
    def is_free(pod: Pod | None) -> bool | None:
        if pod is None or is_over(pod):
            return True
        # No node has it, or none will ever tell.
        has_no_node = is_leaving(pod) and not pod["spec"].get("nodeName")
        return True if has_no_node or lost_node(pod, time.time()) else None

    deadline = time.monotonic() + _END_S
    while watch.wait(name, is_free, _LOOK_S) is None:
        if time.monotonic() > deadline:
            raise EngineError(
                f"Pod {name} is being deleted, and its node has not ended it within {_END_S:.0f} s. If the node is "
                "gone for good, remove the node from the cluster."
            )
