"""Says why a pod does not start, who ends it, and whether its node is lost, in the cluster's own words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from drayage.kubernetes.pods import WORKLOAD
from drayage.kubernetes.states import Pod, container_status, is_leaving, is_over, seconds, terminated

# What no waiting mends.
_HOPELESS = {
    "ErrImageNeverPull": "the image is not on the node, and must not be pulled",
    "InvalidImageName": "the name of the image is malformed",
    "CreateContainerConfigError": "the container cannot be made",
    "CreateContainerError": "the container cannot be made",
    "RunContainerError": "the container cannot be started",
}
# The first failure may be the registry's; the kubelet waits before it tries again, and that is when it is believed.
_PULL = {"ImagePullBackOff": "the image cannot be pulled"}
_FIRST_PULL = "ErrImagePull"
_REFUSED = (
    "not found",
    "unauthorized",
    "denied",
    "forbidden",
    "manifest unknown",
    "does not exist",
    "insufficient_scope",
)
_OF_VOLUMES = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})
_OF_THE_NODE = frozenset({"FailedCreatePodSandBox"})
_ENDERS = {
    "EvictionByEvictionAPI": "the pod was evicted, as when its node is drained",
    "PreemptionByScheduler": "the scheduler removed the pod for one of higher priority",
    "DeletionByTaintManager": "the pod was removed from its node for a taint that it does not tolerate",
    "DeletionByPodGC": "the cluster removed the pod, whose node is gone",
    "TerminationByKubelet": "the node evicted the pod",
}
_LOST = frozenset({"DeletionByTaintManager", "DeletionByPodGC"})
# The kubelet's own time to report an end, beyond the pod's grace.
_REPORT_S = 10.0


@dataclass(frozen=True)
class Trouble:
    """Why a pod does not start.

    Args:
        text: A clause without a full stop.
        may_pass: Whether it may pass by itself, so that it is given some time.
    """

    text: str
    may_pass: bool


def starting_trouble(pod: Pod) -> Trouble | None:
    """Return why a pod does not start, as far as its description says so."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            said = sentence(condition.get("message") or condition.get("reason"))
            # A pod that waits for its gates was asked to.
            if condition.get("reason") != "SchedulingGated":
                return Trouble(f"no node takes the pod: {said}", may_pass=True)
    status = pod.get("status") or {}
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (each.get("state") or {}).get("waiting") or {}
        reason, said = waiting.get("reason", ""), sentence(waiting.get("message"))
        which = "" if each["name"] == WORKLOAD else f" of the container `{each['name']}`"
        if reason == _FIRST_PULL and any(sign in said.lower() for sign in _REFUSED):
            return Trouble(f"the image {each['image']}{which} cannot be pulled: {said}", may_pass=False)
        if what := _HOPELESS.get(reason) or _PULL.get(reason):
            return Trouble(f"{what}: {each['image']}{which} ({reason}: {said})", may_pass=False)
        ended = (each.get("state") or {}).get("terminated") or {}
        if each["name"] != WORKLOAD and ended.get("exitCode") and each in (status.get("initContainerStatuses") or ()):
            said = sentence(ended.get("message") or ended.get("reason"))
            return Trouble(f"the container `{each['name']}` failed with {ended['exitCode']}: {said}", may_pass=False)
    return None


def is_starting(pod: Pod) -> bool:
    """Return whether a pod has a node, and its workload has not been started there."""
    return (
        bool(pod["spec"].get("nodeName"))
        and not is_over(pod)
        and not is_leaving(pod)
        and "waiting" in (container_status(pod, WORKLOAD).get("state") or {"waiting": {}})
    )


def trouble_of_events(events: Iterable[Mapping[str, Any]]) -> Trouble | None:
    """Return why a pod does not start, if only its events say so; None if the last of them is of something else."""
    latest: Mapping[str, Any] | None = None
    for event in events:
        if latest is None or _at(event) >= _at(latest):
            latest = event
    if latest is None or latest.get("reason") not in _OF_VOLUMES | _OF_THE_NODE:
        return None
    what = "a volume cannot be mounted" if latest["reason"] in _OF_VOLUMES else "the node cannot make the pod"
    return Trouble(f"{what} ({latest['reason']}: {sentence(latest.get('message'))})", may_pass=True)


def ender(pod: Pod) -> str:
    """Return who or what ended a pod from outside, as a clause; empty if nothing is known to have."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            reason = str(condition.get("reason"))
            said = sentence(condition.get("message"))
            return f"{_ENDERS.get(reason, 'the cluster ended the pod')} ({reason}: {said})"
    status = pod.get("status") or {}
    if status.get("reason"):
        return f"the cluster ended the pod ({status['reason']}: {sentence(status.get('message'))})"
    return "somebody deleted the pod while the workload ran" if _was_deleted_before_its_end(pod) else ""


def lost_node(pod: Pod, now_s: float) -> str | None:
    """Return why a pod's end will never be known: its node is out of reach; None as far as that is not so.

    Args:
        pod: The pod.
        now_s: The current time, in seconds since the epoch.
    """
    if is_over(pod) or terminated(pod, WORKLOAD) or not is_leaving(pod):
        return None
    conditions = (pod.get("status") or {}).get("conditions") or ()
    if not any(it["type"] == "DisruptionTarget" and it.get("reason") in _LOST for it in conditions):
        return None
    # Of deletion, the API server has the time at which the grace is over.
    if now_s < seconds(pod["metadata"]["deletionTimestamp"]) + _REPORT_S:
        return None
    return f"node {pod['spec'].get('nodeName', '?')} is out of reach, and was given up ({ender(pod)})"


def _was_deleted_before_its_end(pod: Pod) -> bool:
    if not is_leaving(pod):
        return False
    # The time of deletion is that at which the grace is over.
    metadata = pod["metadata"]
    asked_s = seconds(metadata["deletionTimestamp"]) - float(metadata.get("deletionGracePeriodSeconds") or 0)
    end = terminated(pod, WORKLOAD)
    return end is None or seconds(end.get("finishedAt")) >= asked_s


def _at(event: Mapping[str, Any]) -> datetime:
    stamp = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(stamp) if stamp else datetime.fromtimestamp(0, UTC)


def sentence(text: object) -> str:
    """Return what the cluster says, on one line and without a full stop."""
    return " ".join(str(text or "no reason was given").split()).rstrip(".")
