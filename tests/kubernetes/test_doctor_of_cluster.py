"""`drayage doctor` on a cluster: what it examines, what it says is missing, and that nothing of it lasts."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_steps import DEADLINE_S, ClusterDeployment
from command_line import CommandLine
from contract_steps import SHELL_IMAGE, wait_until
from kubernetes import client as official
from kubernetes_namespace import ROLE
from stack import REPOSITORY

from drayage.kubernetes.diagnosis import HOST_RIGHTS, TOOLBOX_RIGHTS

DEBUGGING = REPOSITORY / "deploy" / "kubernetes" / "debugging.yaml"


def findings(cli: CommandLine, *words: str, exits: int = 0, **environment: str) -> dict[str, dict[str, Any]]:
    found = json.loads(cli("doctor", "--json", *words, exits=exits, **environment))
    return {finding["what"]: finding for finding in found}


@pytest.mark.parametrize(("file", "rights"), [(ROLE, HOST_RIGHTS), (DEBUGGING, TOOLBOX_RIGHTS)])
def test_the_rights_that_are_examined_are_those_of_the_role(file: Path, rights: Any) -> None:
    rules = yaml.safe_load(file.read_text(encoding="utf-8"))["rules"]
    granted = {resource: tuple(rule["verbs"]) for rule in rules for resource in rule["resources"]}
    assert granted == dict(rights)
    assert {group for rule in rules for group in rule["apiGroups"]} == {""}


def test_a_cluster_with_a_hosts_rights_is_good_and_nothing_is_left(
    cluster: ClusterDeployment, cli: CommandLine
) -> None:
    found = findings(cli, "--image", SHELL_IMAGE)
    assert all(finding["good"] for finding in found.values()), found
    assert list(found) == [
        "engine",
        "rights",
        "rights of a toolbox",
        "differences",
        f"image {SHELL_IMAGE}",
        "exchange root",
        "mailbox",
        "disk",
        "memory",
    ]
    assert f"namespace {cluster.namespace.name}" in found["engine"]["text"]
    assert found["image " + SHELL_IMAGE]["text"].startswith("sha256:")
    assert "starts in the cluster, on node " in found["mailbox"]["text"]
    assert "debugging.yaml" in found["rights of a toolbox"]["text"]
    wait_until(
        lambda: not cluster.namespace.pods({"drayage.dev/role": "file"}),
        what="the removal of what was tried",
        deadline_s=DEADLINE_S,
    )


def test_a_right_that_is_taken_away_is_named(cluster: ClusterDeployment, cli: CommandLine) -> None:
    rights = official.RbacAuthorizationV1Api(cluster.namespace.admin.api_client)
    role = yaml.safe_load(ROLE.read_text(encoding="utf-8"))
    name, where = role["metadata"]["name"], cluster.namespace.name
    less = {**role, "rules": [rule for rule in role["rules"] if rule["resources"] != ["pods/exec"]]}
    rights.replace_namespaced_role(name, where, less)
    try:
        found = findings(cli, exits=1)
    finally:
        rights.replace_namespaced_role(name, where, role)
    assert [what for what, finding in found.items() if not finding["good"]] == ["rights"]
    assert f"may not get pods/exec, create pods/exec in namespace {where}" in found["rights"]["text"]
    assert "deploy/kubernetes/role.yaml" in found["rights"]["text"]


def test_images_that_the_nodes_cannot_have_are_bad(cli: CommandLine) -> None:
    found = findings(cli, "--image", "no-such-image", exits=1)
    assert [what for what, finding in found.items() if not finding["good"]] == ["image no-such-image"]
    assert "Image 'no-such-image' cannot be read" in found["image no-such-image"]["text"]
    found = findings(cli, exits=1, DRAYAGE_RELAY_IMAGE="no-such-relay")
    assert [what for what, finding in found.items() if not finding["good"]] == ["mailbox"]
    assert "no-such-relay" in found["mailbox"]["text"]
    assert "DRAYAGE_RELAY_IMAGE" in found["mailbox"]["text"]


def test_a_cluster_that_does_not_answer_is_bad(cli: CommandLine, tmp_path: Path) -> None:
    assert "No cluster is configured" in cli("doctor", exits=1, KUBECONFIG=str(tmp_path / "none"))


def test_a_namespace_that_does_not_exist_is_bad(cli: CommandLine) -> None:
    found = findings(cli, exits=1, DRAYAGE_KUBERNETES_NAMESPACE="no-such-namespace")
    assert not found["rights"]["good"]
    assert "in namespace no-such-namespace" in found["rights"]["text"]


def test_an_image_is_held_to_the_workload_contract_on_a_cluster(cluster: ClusterDeployment, cli: CommandLine) -> None:
    said = cli("conform", "drayage/writer-shell", "--scenario", "secret")
    assert "drayage/writer-shell, secret: holds" in said
    assert cluster.namespace.pods({}) == []
