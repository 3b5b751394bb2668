"""A pod's description is read as the state of a container, whatever happened to it."""

import pytest
from recorded_pods import FINISHED, LABELS, STARTED, disrupted, ended, pod, running, unschedulable, waiting

from drayage.kubernetes.names import FAILURE
from drayage.kubernetes.states import UNKNOWN_EXIT, read_found, read_state, seconds, status_of
from drayage.kubernetes.troubles import ender


def test_a_running_workload() -> None:
    state = read_state(running())
    assert (state.id, state.name, state.image, state.status) == ("step-1", "step-1", "tool:1", "running")
    assert (state.started_at_s, state.finished_at_s) == (seconds(STARTED), 0.0)
    assert state.labels == LABELS
    assert state.memory_limit_bytes == 2**28


def test_an_exit_code_is_kept_while_the_relay_keeps_the_pod_open() -> None:
    state = read_state(ended(3, "Error"))
    assert (state.status, state.exit_code, state.error) == ("ended", 3, "")
    assert state.finished_at_s == seconds(FINISHED)


def test_lack_of_memory_is_told() -> None:
    state = read_state(ended(137, "OOMKilled"))
    assert (state.exit_code, state.oom_killed, state.error) == (137, True, "")


def test_a_command_that_is_not_there_has_the_exit_code_of_shells() -> None:
    said = 'exec: "nothing": executable file not found in $PATH'
    state = read_state(ended(128, "StartError", said))
    assert (state.exit_code, state.error, state.started_at_s) == (127, said, 0.0)


def test_an_evicted_pod_has_no_exit_code_and_a_reason() -> None:
    """The kubelet takes the states of its containers back."""
    evicted = waiting("ContainerCreating", phase="Failed", reason="Evicted", message="The node was low on memory.")
    state = read_state(evicted, blame=ender(evicted))
    assert (state.status, state.exit_code) == ("ended", UNKNOWN_EXIT)
    assert "Evicted: The node was low on memory" in state.error


def test_what_the_engine_gave_up_has_ended_for_the_reason_it_wrote() -> None:
    state = read_state(waiting("ImagePullBackOff", annotations={FAILURE: "the image cannot be pulled"}))
    assert (state.status, state.exit_code, state.error) == ("ended", UNKNOWN_EXIT, "the image cannot be pulled")


@pytest.mark.parametrize("given", [unschedulable("0/2 nodes"), waiting("ContainerCreating"), pod()], ids=str)
def test_a_pod_that_is_about_to_start_runs_as_far_as_a_step_is_concerned(given: dict[str, object]) -> None:
    assert status_of(given) == "running"


def test_a_pod_that_waits_for_its_secrets_is_only_created() -> None:
    """A process that died before it brought them leaves a container that no retry can adopt."""
    receive = {"name": "receive", "state": {"running": {}}, "image": "relay"}
    assert status_of(waiting("PodInitializing", secrets={"a": b"b"}, inits=(receive,))) == "created"
    assert status_of(running(secrets={"a": b"b"})) == "running"


def test_who_ended_it_is_told_only_if_it_ended_badly() -> None:
    condition = disrupted("EvictionByEvictionAPI", "Eviction API: evicting")
    drained = ended(143, "Error", conditions=(condition,), deleted_at=FINISHED, grace_s=3)
    state = read_state(drained, blame=ender(drained))
    assert state.exit_code == 143
    assert "evicted" in state.error
    assert "Eviction API: evicting" in state.error
    assert read_state(ended(0, "Completed", conditions=(condition,)), blame="somebody").error == ""


def test_a_deadline_is_told() -> None:
    late = ended(137, "Error", phase="Failed", reason="DeadlineExceeded", message="Pod was active too long")
    assert "DeadlineExceeded: Pod was active too long" in read_state(late, blame=ender(late)).error


def test_a_pod_is_found_with_its_labels_as_they_were_given() -> None:
    found = read_found(ended(0, "Completed"))
    assert (found.id, found.image, found.status, found.labels) == ("step-1", "tool:1", "ended", LABELS)
    assert found.created_at_s == seconds("2026-11-29T20:00:00Z")


@pytest.mark.parametrize(
    ("image_id", "shown"),
    [("", "tool:1"), ("sha256:12", "sha256:12"), ("registry.test/tool@sha256:34", "sha256:34")],
)
def test_the_image_id_is_a_digest_as_soon_as_a_node_has_the_image(image_id: str, shown: str) -> None:
    known = running()
    known["status"]["containerStatuses"][0]["imageID"] = image_id
    assert read_state(known).image_id == shown


@pytest.mark.parametrize(("quantity", "size_bytes"), [("64Mi", 2**26), ("1500M", 1_500_000_000), ("77", 77), ("x", 0)])
def test_a_limit_is_read_in_any_unit(quantity: str, size_bytes: int) -> None:
    known = running()
    known["spec"]["containers"][0]["resources"]["limits"]["memory"] = quantity
    assert read_state(known).memory_limit_bytes == size_bytes
