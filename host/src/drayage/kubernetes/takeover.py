"""Takes over a pod that another process left: of several that try, exactly one does."""

import contextlib

from drayage.errors import ContainerGoneError, EngineError
from drayage.kubernetes.api import MERGE_PATCH, Cluster, ConflictError
from drayage.kubernetes.names import HOST
from drayage.kubernetes.states import Pod

# A node reports several times while a pod starts or ends.
_TRIES = 20


def take_over(cluster: Cluster, pod: Pod, host: str) -> Pod:
    """Make a process the one that follows a pod, and return the pod as it is then.

    Args:
        cluster: The cluster.
        pod: The pod as it was last seen: whatever has changed since is noticed.
        host: The process.

    Raises:
        EngineError: Another process was faster.
    """
    path, before = cluster.path("pods", pod["metadata"]["name"]), holder(pod)
    doing = f"take over pod {pod['metadata']['name']}"
    for _ in range(_TRIES):
        claim = {"metadata": {"resourceVersion": pod["metadata"]["resourceVersion"], "labels": {HOST: host}}}
        with contextlib.suppress(ConflictError):
            return cluster.request("PATCH", path, claim, doing=doing, content_type=MERGE_PATCH)
        # It may have been the node that changed it.
        try:
            pod = cluster.request("GET", path, doing=doing)
        except ContainerGoneError:
            break
        if holder(pod) != before:
            break
    raise EngineError(
        f"Pod {pod['metadata']['name']} was taken over by another process, which follows it now, or was removed."
    )


def holder(pod: Pod) -> str | None:
    """Return the process that follows a pod; None if none ever has."""
    found: str | None = (pod["metadata"].get("labels") or {}).get(HOST)
    return found
