"""Reads the API server's descriptions of pods."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from drayage.engine import ContainerState, Found, Status
from drayage.identity import IMAGE
from drayage.kubernetes.names import FAILURE, read_labels
from drayage.kubernetes.pods import RECEIVE, RELAY, WAITS, WORKLOAD

Pod = Mapping[str, Any]

UNKNOWN_EXIT = -1
"""The exit code of a container that never ran, or whose end the cluster did not keep."""
NO_COMMAND = 127
"""The exit code of a container whose command cannot be started."""
_NOT_STARTED = frozenset({"StartError", "ContainerCannotRun", "RunContainerError", "ContainerStatusUnknown"})
_UNITS = {
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    "m": Decimal("0.001"),
}


def container_status(pod: Pod, name: str) -> Mapping[str, Any]:
    """Return what is known of one of a pod's containers; empty if nothing."""
    status = pod.get("status") or {}
    kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    for each in (each for kind in kinds for each in status.get(kind) or ()):
        if each["name"] == name:
            found: Mapping[str, Any] = each
            return found
    return {}


def container_part(pod: Pod, name: str) -> Mapping[str, Any]:
    """Return what one of a pod's containers is made of; empty if there is none of that name."""
    for each in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())):
        if each["name"] == name:
            found: Mapping[str, Any] = each
            return found
    return {}


def is_running(pod: Pod, name: str) -> bool:
    """Return whether one of a pod's containers runs."""
    return "running" in (container_status(pod, name).get("state") or {})


def terminated(pod: Pod, name: str) -> Mapping[str, Any] | None:
    """Return how one of a pod's containers ended; None if it has not."""
    ended: Mapping[str, Any] | None = (container_status(pod, name).get("state") or {}).get("terminated")
    return ended


def is_over(pod: Pod) -> bool:
    """Return whether all of a pod's containers have ended for good."""
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def is_leaving(pod: Pod) -> bool:
    """Return whether a pod is being deleted."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def failure_of(pod: Pod) -> str | None:
    """Return why a pod's workload was given up before it ran; None if it was not."""
    failure = (pod["metadata"].get("annotations") or {}).get(FAILURE)
    return None if failure is None else str(failure)


def has_relay(pod: Pod) -> bool:
    """Return whether the relay stands beside the workload."""
    return bool(container_part(pod, RELAY))


def awaited(pod: Pod) -> str | None:
    """Return the name of the file whose arrival lets a pod's workload start; None if it starts by itself."""
    arguments = container_part(pod, RECEIVE).get("args")
    return None if arguments is None else str(arguments[1])


def has_waiting_workload(pod: Pod) -> bool:
    """Return whether a pod's workload is started before its context is there."""
    return WAITS in container_part(pod, RELAY).get("args", ())


def has_ended(pod: Pod) -> bool:
    """Return whether the workload has ended, or can no longer start."""
    return status_of(pod) == "ended"


def status_of(pod: Pod) -> Status:
    """Return what a pod's workload does."""
    if failure_of(pod) is not None or terminated(pod, WORKLOAD) or is_over(pod):
        return "ended"
    if awaited(pod) is not None and not terminated(pod, RECEIVE) and not is_running(pod, WORKLOAD):
        # It waits for what this process, or one that has died, was about to bring.
        return "created"
    return "running"


def read_found(pod: Pod) -> Found:
    """Return a pod as a list of containers describes it."""
    labels = read_labels(pod)
    name = pod["metadata"]["name"]
    return Found(
        id=name,
        name=name,
        image=labels.get(IMAGE, container_part(pod, WORKLOAD).get("image", "")),
        status=status_of(pod),
        created_at_s=seconds(pod["metadata"].get("creationTimestamp")),
        labels=labels,
    )


def read_state(pod: Pod, *, blame: str = "") -> ContainerState:
    """Return a pod's workload as a container.

    Args:
        pod: The pod.
        blame: What ended the workload from outside, if it ended badly; empty if nothing is known to have.
    """
    made, known = container_part(pod, WORKLOAD), container_status(pod, WORKLOAD)
    labels, name = read_labels(pod), pod["metadata"]["name"]
    end = terminated(pod, WORKLOAD) or {}
    started = (known.get("state") or {}).get("running") or end
    exit_code, error = _end_of(pod, end, blame)
    return ContainerState(
        id=name,
        name=name,
        image=labels.get(IMAGE, made.get("image", "")),
        # A digest once a node has the image; of the manifest if it was pulled, of the configuration if it was imported.
        image_id=str(known.get("imageID") or made.get("image", "")).rpartition("@")[2],
        status=status_of(pod),
        exit_code=exit_code,
        oom_killed=end.get("reason") == "OOMKilled",
        error=error,
        memory_limit_bytes=_bytes((made.get("resources") or {}).get("limits", {}).get("memory", "0")),
        started_at_s=0.0 if end.get("reason") in _NOT_STARTED else seconds(started.get("startedAt")),
        finished_at_s=seconds(end.get("finishedAt")),
        labels=labels,
    )


def _end_of(pod: Pod, end: Mapping[str, Any], blame: str) -> tuple[int, str]:
    """Return the workload's exit code and what the cluster says of its end."""
    if failure := failure_of(pod):
        return UNKNOWN_EXIT, failure
    if end.get("reason") in _NOT_STARTED:
        return NO_COMMAND, " ".join(str(end.get("message") or end["reason"]).split())
    if end:
        exit_code = int(end["exitCode"])
        return exit_code, (blame or _said_by(pod)) if exit_code else ""
    if is_over(pod):
        return UNKNOWN_EXIT, blame or _said_by(pod) or "the pod ended, and the cluster kept no exit code"
    return 0, ""


def _said_by(pod: Pod) -> str:
    """Return the reason that the cluster gives for a pod's end, such as ``DeadlineExceeded``."""
    status = pod.get("status") or {}
    parts = [str(status[key]) for key in ("reason", "message") if status.get(key)]
    return ": ".join(parts).rstrip(".")


def seconds(timestamp: str | None) -> float:
    """Return a time of the API server in seconds since the epoch; 0 for none."""
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else 0.0


def _bytes(quantity: str) -> int:
    """Return a quantity such as ``512Mi`` in bytes; 0 if it cannot be read."""
    number = quantity.rstrip("KMGTPEkim")
    try:
        return int(Decimal(number) * _UNITS.get(quantity.removeprefix(number), Decimal(1)))
    except InvalidOperation:
        return 0
