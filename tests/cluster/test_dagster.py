"""Dagster's services on Kubernetes: the cluster takes their manifests, and they have no more rights than they need."""

import json
from collections.abc import Iterator

import pytest
from cluster import Cluster, output, run
from stack import REPOSITORY

pytestmark = pytest.mark.kubernetes

DEPLOYMENTS = ["dagster-code", "dagster-daemon", "dagster-webserver"]


@pytest.fixture(scope="module")
def deployed(cluster: Cluster) -> Iterator[Cluster]:
    """Return the cluster with what the manifests describe; its images are not there, so no container starts."""
    folder = "/opt/dagster"
    output("docker", "cp", REPOSITORY / "deploy/kubernetes/dagster", f"{cluster.nodes[0]}:{folder}")
    said = run(*cluster.kubectl_words, "apply", "--kustomize", folder)
    try:
        assert said.returncode == 0, said.stderr
        # What Pod Security's strictest standard would not allow.
        assert "would violate PodSecurity" not in said.stderr
        yield cluster
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "--kustomize", folder)


def test_the_cluster_takes_the_manifests_and_makes_their_pods(deployed: Cluster) -> None:
    for deployment in DEPLOYMENTS:
        deployed.kubectl(
            "wait", "--namespace=drayage", f"deployment/{deployment}", "--for=jsonpath={.status.replicas}=1"
        )


@pytest.mark.parametrize(
    ("account", "verb", "resource", "answer"),
    [
        ("dagster", "create", "jobs", "yes"),
        ("dagster", "get", "pods/log", "yes"),
        ("dagster", "create", "pods", "no"),
        ("dagster", "get", "secrets", "no"),
        ("run-worker", "create", "jobs", "no"),
        ("run-worker", "get", "secrets", "no"),
        ("default", "list", "pods", "no"),
    ],
)
def test_each_account_has_only_its_own_rights(
    deployed: Cluster, account: str, verb: str, resource: str, answer: str
) -> None:
    asked = ("auth", "can-i", "--namespace=drayage", f"--as=system:serviceaccount:drayage:{account}", verb, resource)
    # It goes on with a reason, such as a role that is not there.
    assert run(*deployed.kubectl_words, *asked).stdout.split()[0] == answer


def test_each_service_has_limits_and_the_account_of_what_it_starts(deployed: Cluster) -> None:
    accounts = {}
    for deployment in DEPLOYMENTS:
        text = deployed.kubectl("get", "deployment", deployment, "--namespace=drayage", "--output=json")
        pod = json.loads(text)["spec"]["template"]["spec"]
        accounts[deployment] = pod["serviceAccountName"]
        assert pod["containers"][0]["resources"]["limits"]
    assert accounts == {"dagster-code": "run-worker", "dagster-daemon": "dagster", "dagster-webserver": "dagster"}
