"""Of several processes that take a pod over, one does; a node that reports meanwhile does not count."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
from fake_cluster import FakeCluster
from recorded_pods import running

from drayage.errors import EngineError
from drayage.kubernetes.api import Cluster, ConflictError
from drayage.kubernetes.names import HOST
from drayage.kubernetes.takeover import take_over


class OnePod:
    """A pod that others change just before it is claimed.

    Args:
        changes: What happens before each claim: who holds the pod then, or None for the node's own report.
    """

    def __init__(self, *changes: str | None) -> None:
        self.pod = running()
        self._changes = list(changes)
        self.cluster = cast("Cluster", FakeCluster(self._answer))

    def _answer(self, method: str, _path: str, _query: Mapping[str, str], body: Any) -> Mapping[str, Any]:
        metadata = self.pod["metadata"]
        if method == "PATCH":
            if self._changes:
                holder = self._changes.pop(0)
                metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
                metadata["labels"][HOST] = holder or metadata["labels"][HOST]
            if body["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
                raise ConflictError("changed")
            metadata["labels"] |= body["metadata"]["labels"]
        return {**self.pod, "metadata": {**metadata, "labels": dict(metadata["labels"])}}


def seen(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pod as it was before anything changed."""
    return {**pod, "metadata": {**pod["metadata"], "labels": dict(pod["metadata"]["labels"])}}


@pytest.mark.parametrize("reports", [(), (None,), (None, None, None)], ids=len)
def test_a_pod_that_only_its_node_changes_is_taken(reports: tuple[None, ...]) -> None:
    case = OnePod(*reports)
    assert take_over(case.cluster, seen(case.pod), "me")["metadata"]["labels"][HOST] == "me"


@pytest.mark.parametrize("others", [("other",), (None, "other")])
def test_a_pod_that_another_was_faster_to_take_is_left_to_it(others: tuple[str | None, ...]) -> None:
    case = OnePod(*others)
    with pytest.raises(EngineError, match="another process"):
        take_over(case.cluster, seen(case.pod), "me")
    assert case.pod["metadata"]["labels"][HOST] == "other"


def test_a_pod_that_changes_all_the_time_is_given_up() -> None:
    case = OnePod(*[None] * 100)
    with pytest.raises(EngineError):
        take_over(case.cluster, seen(case.pod), "me")
