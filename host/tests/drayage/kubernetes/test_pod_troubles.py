"""Why a pod does not start, and who ended it, is told in the cluster's own words."""

from typing import Any

import pytest
from recorded_pods import FINISHED, disrupted, ended, pod, running, unschedulable, waiting

from drayage.kubernetes.states import seconds
from drayage.kubernetes.troubles import (
    ender,
    is_starting,
    lost_node,
    starting_trouble,
    trouble_of_events,
)

SAID = "0/2 nodes are available: 2 Insufficient memory."


def event(reason: str, at: str, message: str = "") -> dict[str, Any]:
    """Return an event of a pod."""
    return {"reason": reason, "lastTimestamp": f"2026-11-29T20:00:{at}Z", "message": message, "metadata": {}}


def test_the_schedulers_words_are_told_and_may_pass() -> None:
    trouble = starting_trouble(unschedulable(SAID))
    assert trouble is not None
    assert "0/2 nodes are available: 2 Insufficient memory" in trouble.text
    assert trouble.may_pass


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ImagePullBackOff", "Back-off pulling image"),
        ("ErrImageNeverPull", "Container image is not present with pull policy of Never"),
        ("InvalidImageName", "couldn't parse image name"),
        ("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
        ("ErrImagePull", "failed to resolve reference: docker.io/library/none: not found"),
        ("ErrImagePull", "failed to authorize: 401 Unauthorized"),
    ],
)
def test_what_no_waiting_mends_is_told_at_once(reason: str, message: str) -> None:
    trouble = starting_trouble(waiting(reason, message))
    assert trouble is not None
    assert not trouble.may_pass
    assert message in trouble.text
    assert "tool:1" in trouble.text


def test_a_registry_that_did_not_answer_once_is_asked_again() -> None:
    assert starting_trouble(waiting("ErrImagePull", "dial tcp: i/o timeout")) is None


@pytest.mark.parametrize("given", [running(), waiting("ContainerCreating"), pod(), ended(0, "Completed")], ids=str)
def test_a_pod_without_trouble_has_none(given: dict[str, Any]) -> None:
    assert starting_trouble(given) is None


def test_the_relays_own_image_is_named_as_its_own() -> None:
    relay = {"name": "relay", "image": "no/relay", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "x"}}}
    trouble = starting_trouble(pod(inits=(relay,)))
    assert trouble is not None
    assert "no/relay of the container `relay`" in trouble.text


def test_a_volume_that_cannot_be_mounted_is_told_by_the_last_event() -> None:
    said = 'MountVolume.SetUp failed for volume "x" : secret "none" not found'
    trouble = trouble_of_events([event("FailedMount", "05", said), event("Scheduled", "01")])
    assert trouble is not None
    assert said in trouble.text
    assert trouble.may_pass
    assert trouble_of_events([event("FailedMount", "05", said), event("Pulling", "06")]) is None, "it has passed"
    assert trouble_of_events([]) is None


def test_a_pod_is_starting_from_its_node_until_its_workload_runs() -> None:
    assert is_starting(pod())
    assert is_starting(waiting("PodInitializing"))
    assert not is_starting(unschedulable(SAID))
    assert not is_starting(running())
    assert not is_starting(waiting("PodInitializing", deleted_at=FINISHED))


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (disrupted("EvictionByEvictionAPI", "Eviction API: evicting"), "evicted, as when its node is drained"),
        (disrupted("PreemptionByScheduler", "preempting to accommodate a higher priority pod"), "higher priority"),
        (disrupted("TerminationByKubelet", "The node was low on resource: memory"), "low on resource: memory"),
        (disrupted("SomethingNew", "words"), "SomethingNew: words"),
    ],
)
def test_the_cluster_says_why_it_ends_a_pod(condition: dict[str, Any], told: str) -> None:
    assert told in ender(running(conditions=(condition,)))


def test_somebody_who_deletes_a_pod_is_blamed_only_for_a_workload_that_ran() -> None:
    asked_before, asked_after = "2026-11-29T20:00:35Z", "2026-11-29T20:00:55Z"
    assert "somebody deleted" in ender(running(deleted_at=asked_before))
    assert "somebody deleted" in ender(ended(143, "Error", deleted_at=asked_before))
    assert ender(ended(1, "Error", deleted_at=asked_after)) == "", "it was removed when it had ended"
    assert ender(ended(1, "Error")) == ""


def test_a_node_is_lost_only_when_the_cluster_gave_it_up_and_it_stays_silent() -> None:
    taint = disrupted("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
    lost = running(conditions=(taint,), deleted_at=FINISHED)
    assert lost_node(lost, seconds(FINISHED) + 5) is None, "it has time to answer"
    text = lost_node(lost, seconds(FINISHED) + 11)
    assert text is not None
    assert "node-1" in text
    assert "Taint manager" in text
    assert lost_node(running(deleted_at=FINISHED), seconds(FINISHED) + 11) is None, "a slow end is none"
    assert lost_node(running(conditions=(taint,)), seconds(FINISHED) + 11) is None
    assert lost_node(ended(1, "Error", conditions=(taint,), deleted_at=FINISHED), seconds(FINISHED) + 11) is None
