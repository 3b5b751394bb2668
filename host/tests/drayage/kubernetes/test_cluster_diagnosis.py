"""What `drayage doctor` finds out about a cluster, and what it says to do."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from fake_cluster import FakeCluster

from drayage.errors import EngineUnavailableError
from drayage.finding import Finding
from drayage.kubernetes.diagnosis import examine_cluster
from drayage.kubernetes.settings import KubernetesSettings

NEW = {"major": "1", "minor": "37", "gitVersion": "v1.37.2"}


class ReviewedCluster(FakeCluster):
    """A cluster of a version, where all is allowed but some rights."""

    access = SimpleNamespace(server="https://cluster")

    def __init__(self, version: Mapping[str, str] = NEW, *, missing: frozenset[str] = frozenset()) -> None:
        super().__init__(self._reply)
        self._version = version
        self._missing = missing

    def _reply(self, method: str, path: str, _query: Any, body: Any) -> Mapping[str, Any]:
        if path == "/version":
            return self._version
        assert (method, path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        asked = body["spec"]["resourceAttributes"]
        assert asked["namespace"] == "test"
        name = "/".join(filter(None, [asked["resource"], asked["subresource"]]))
        return {"status": {"allowed": f"{asked['verb']} {name}" not in self._missing}}


def found(cluster: Any, **settings: Any) -> dict[str, Finding]:
    return {it.what: it for it in examine_cluster(cluster, KubernetesSettings.load({}, **settings))}


def test_a_cluster_where_all_is_allowed_is_good_and_nothing_is_made_there() -> None:
    cluster = ReviewedCluster()
    findings = found(cluster)
    assert all(it.good for it in findings.values())
    assert findings["engine"].text == "Kubernetes v1.37.2 answers at https://cluster; namespace test"
    assert {path for _, path in cluster.asked} == {
        "/version",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    }


def test_each_missing_right_is_named_with_what_grants_it() -> None:
    findings = found(ReviewedCluster(missing=frozenset({"create pods/exec", "list events"})))
    assert not findings["rights"].good
    assert "may not create pods/exec, list events in namespace test" in findings["rights"].text
    assert "deploy/kubernetes/role.yaml" in findings["rights"].text


def test_a_host_needs_no_rights_of_a_toolbox() -> None:
    findings = found(ReviewedCluster(missing=frozenset({"patch pods/ephemeralcontainers"})))
    assert all(it.good for it in findings.values())
    assert "may not patch pods/ephemeralcontainers;" in findings["rights of a toolbox"].text
    assert "deploy/kubernetes/debugging.yaml" in findings["rights of a toolbox"].text


@pytest.mark.parametrize(("minor", "is_good"), [("32", False), ("33+", True)])
def test_a_cluster_that_is_too_old_is_bad(minor: str, *, is_good: bool) -> None:
    old = {"major": "1", "minor": minor, "gitVersion": "v1.x"}
    findings = found(ReviewedCluster(old))
    assert findings["engine"].good == is_good
    assert ("Expected 1.33 or later" in findings["engine"].text) != is_good


def test_of_a_cluster_that_does_not_answer_nothing_else_is_asked() -> None:
    def fail(*_: Any) -> Mapping[str, Any]:
        raise EngineUnavailableError("The cluster does not answer.")

    cluster = FakeCluster(fail)
    (finding,) = examine_cluster(cluster, KubernetesSettings.load({}))  # type: ignore[arg-type]
    assert (finding.what, finding.good, finding.text) == ("engine", False, "The cluster does not answer.")
    assert len(cluster.asked) == 1


def test_the_standard_that_workloads_are_held_to_is_said() -> None:
    assert "must not run as root" in found(ReviewedCluster())["differences"].text
    assert "root" not in found(ReviewedCluster(), restricted=False)["differences"].text
