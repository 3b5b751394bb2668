"""One watch tells everybody who waits, goes on after cuts, and never asks while nothing happens."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from fake_cluster import FakeCluster, WatchedPods
from recorded_pods import ended, running

from drayage.errors import EngineUnavailableError
from drayage.kubernetes.api import Cluster
from drayage.kubernetes.states import Pod, has_ended
from drayage.kubernetes.watch import PodWatch

DEADLINE_S = 30.0


def versioned(pod: dict[str, Any], version: int) -> dict[str, Any]:
    """Return a pod with a version."""
    pod["metadata"]["resourceVersion"] = str(version)
    return pod


def named(name: str) -> dict[str, Any]:
    """Return a running pod of a name."""
    pod = running()
    pod["metadata"]["name"] = name
    return pod


def watching(cluster: FakeCluster) -> PodWatch:
    """Return a watch that has begun."""
    watch = PodWatch(cast("Cluster", cluster), {"labelSelector": "a=b"})
    watch.start()
    return watch


@pytest.fixture
def pods() -> Iterator[WatchedPods]:
    pods = WatchedPods([named("step-1"), named("one"), named("other")])
    yield pods
    pods.cut()


def is_over(pod: Pod | None) -> str | None:
    """Return what a test waits for."""
    return "gone" if pod is None else "ended" if has_ended(pod) else None


def test_all_who_wait_for_a_pod_learn_of_its_end(pods: WatchedPods) -> None:
    watch = watching(pods.cluster)
    with ThreadPoolExecutor(3) as threads:
        waits = [threads.submit(watch.wait, "step-1", is_over, DEADLINE_S) for _ in range(3)]
        pods.send("MODIFIED", versioned(ended(0, "Completed"), 12))
        assert [wait.result() for wait in waits] == ["ended"] * 3
    watch.close()


def test_waiting_asks_nothing(pods: WatchedPods) -> None:
    watch = watching(pods.cluster)
    assert watch.wait("step-1", is_over, 0.5) is None
    asked = list(pods.cluster.asked)
    for _ in range(20):
        pods.send("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
        assert watch.wait("step-1", is_over, 0.01) is None
    assert pods.cluster.asked == asked == [("GET", "pods"), ("OPEN", "pods")]
    watch.close()


def test_a_pod_that_was_never_made_is_not_taken_for_one_that_is_gone(pods: WatchedPods) -> None:
    watch = watching(pods.cluster)
    assert watch.wait("new", is_over, 0.2) is None
    watch.forget("new")
    assert watch.wait("new", is_over, 0) == "gone"
    watch.close()


def test_a_pod_that_is_removed_is_gone(pods: WatchedPods) -> None:
    watch = watching(pods.cluster)
    pods.send("DELETED", running())
    assert watch.wait("step-1", is_over, DEADLINE_S) == "gone"
    watch.close()


@pytest.mark.parametrize("error", [None, EngineUnavailableError("cut")], ids=["it ended", "it was cut"])
def test_a_watch_goes_on_and_nobody_notices(pods: WatchedPods, error: EngineUnavailableError | None) -> None:
    """Also what happened in between is learned: a pod that ended, and one that was removed."""
    watch = watching(pods.cluster)
    assert watch.wait("one", is_over, 0.3) is None
    over = versioned(ended(0, "Completed"), 9)
    over["metadata"]["name"] = "one"
    pods.pods = [over]
    pods.cut(error)
    assert watch.wait("one", is_over, DEADLINE_S) == "ended"
    assert watch.wait("other", is_over, DEADLINE_S) == "gone"
    watch.close()


def test_a_version_that_is_too_old_lets_all_be_listed_again(pods: WatchedPods) -> None:
    watch = watching(pods.cluster)
    assert watch.wait("step-1", is_over, 0.3) is None
    pods.pods = []
    pods.send("ERROR", {"code": 410, "message": "too old resource version"})
    assert watch.wait("step-1", is_over, DEADLINE_S) == "gone"
    watch.close()


def test_an_older_answer_does_not_replace_a_newer_one() -> None:
    watch = PodWatch(cast("Cluster", FakeCluster()), {})
    watch.note(versioned(ended(0, "Completed"), 12))
    watch.note(versioned(running(), 9))
    assert watch.wait("step-1", is_over, 0) == "ended"


def test_who_waits_learns_that_the_cluster_does_not_answer() -> None:
    def silent(*_: object) -> Any:
        raise EngineUnavailableError("silence")

    watch = watching(FakeCluster(silent))
    with pytest.raises(EngineUnavailableError, match="silence"):
        watch.wait("step-1", is_over, DEADLINE_S)
    watch.close()


def test_who_waits_already_learns_of_it_at_once() -> None:
    is_asked = threading.Event()

    def silent(*_: object) -> Any:
        is_asked.wait(DEADLINE_S)
        raise EngineUnavailableError("silence")

    watch = watching(FakeCluster(silent))
    threading.Timer(0.3, is_asked.set).start()
    begun_at = time.monotonic()
    with pytest.raises(EngineUnavailableError, match="silence"):
        watch.wait("step-1", is_over, DEADLINE_S)
    assert time.monotonic() - begun_at < DEADLINE_S, "it did not wait to its end"
    watch.close()


def test_a_watch_that_ends_at_once_each_time_does_not_flood_the_cluster() -> None:
    cluster = FakeCluster(lambda *_: {"items": [], "metadata": {"resourceVersion": "1"}})
    watch = watching(cluster)
    time.sleep(1.5)
    watch.close()
    assert len(cluster.asked) <= 10
