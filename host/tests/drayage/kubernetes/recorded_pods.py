"""What an API server says of pods in the situations that the engine must tell apart, shortened."""

from collections.abc import Mapping
from typing import Any

from drayage.engine import ContainerSpec
from drayage.kubernetes.pods import Post, build_pod
from drayage.kubernetes.settings import KubernetesSettings

LABELS = {"drayage/deployment": "demo", "drayage/exchange": "run/step/0", "drayage/image": "tool:1"}
STARTED, FINISHED = "2026-11-29T20:00:01Z", "2026-11-29T20:00:09Z"


def pod(
    workload: Mapping[str, Any] | None = None,
    *,
    phase: str = "Pending",
    node: str | None = "node-1",
    conditions: tuple[Mapping[str, Any], ...] = (),
    inits: tuple[Mapping[str, Any], ...] = (),
    deleted_at: str | None = None,
    grace_s: int = 30,
    annotations: Mapping[str, str] | None = None,
    secrets: Mapping[str, bytes] | None = None,
    **status: Any,
) -> dict[str, Any]:
    """Return a pod whose workload is in a state, such as ``{"running": {"startedAt": …}}``."""
    spec = ContainerSpec("tool:1", labels=LABELS, memory_bytes=2**28, secrets=secrets or {})
    made = build_pod("step-1", spec, KubernetesSettings(), Post(b"{}", receives=True), host="host-1", pull_policy=None)
    made["metadata"] |= {"resourceVersion": "7", "uid": "u-1", "creationTimestamp": "2026-11-29T20:00:00Z"}
    made["metadata"]["annotations"] |= annotations or {}
    if deleted_at:
        made["metadata"] |= {"deletionTimestamp": deleted_at, "deletionGracePeriodSeconds": grace_s}
    if node:
        made["spec"]["nodeName"] = node
    statuses = [] if workload is None else [{"name": "workload", "image": "tool:1", "imageID": "", "state": workload}]
    made["status"] = {
        "phase": phase,
        "conditions": list(conditions),
        "containerStatuses": statuses,
        "initContainerStatuses": list(inits),
        **status,
    }
    return made


def running(**more: Any) -> dict[str, Any]:
    """Return a pod whose workload runs."""
    return pod({"running": {"startedAt": STARTED}}, phase="Running", **more)


def ended(exit_code: int, reason: str, said: str = "", /, *, phase: str = "Running", **more: Any) -> dict[str, Any]:
    """Return a pod whose workload has ended, and whose relay has not."""
    how = {"exitCode": exit_code, "reason": reason, "startedAt": STARTED, "finishedAt": FINISHED, "message": said}
    return pod({"terminated": how}, phase=phase, **more)


def waiting(reason: str, said: str = "", /, **more: Any) -> dict[str, Any]:
    """Return a pod whose workload waits."""
    return pod({"waiting": {"reason": reason, "message": said}}, **more)


def unschedulable(message: str) -> dict[str, Any]:
    """Return a pod that no node takes."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(node=None, conditions=(condition,))


def disrupted(reason: str, message: str) -> dict[str, Any]:
    """Return the condition of a pod that the cluster ends."""
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
