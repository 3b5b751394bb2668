"""The tests' Kubernetes cluster is a real one: what the tests of the engine rely on holds."""

import base64
import json
import shutil
import ssl
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml
from cluster import IMAGE, NAME, SCRIPTS, Cluster, output, run, wait_until

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.skipif(not shutil.which("docker"), reason="needs a container engine"),
]

# A program that answers each connection; the image has no other.
SERVE = """exec perl -MIO::Socket::INET -e '
  $s = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die $!;
  while ($c = $s->accept) { print $c "served by $ENV{HOSTNAME} to ", $c->peerhost, "\\n"; close $c }'"""


def asking(address: str) -> str:
    """Return a script that prints what a server on port 8080 says."""
    return f"exec 3<>/dev/tcp/{address}/8080 && cat <&3"


@pytest.fixture
def pods(cluster: Cluster) -> Iterator[Cluster]:
    """Return the cluster, in which the test's pods and services are deleted afterwards."""
    yield cluster
    cluster.kubectl("delete", "pods,services", "--selector=app")


@pytest.fixture
def api(cluster: Cluster) -> dict[str, Any]:
    """Return the kubeconfig's address, certificate authority and token."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    server = config["clusters"][0]["cluster"]
    return {
        "server": server["server"],
        "authority": base64.b64decode(server["certificate-authority-data"]).decode(),
        "token": config["users"][0]["user"]["token"],
    }


# The scripts.


def test_two_nodes_are_ready_and_up_says_how_long_it_took(cluster: Cluster) -> None:
    nodes = json.loads(cluster.kubectl("get", "nodes", "--output", "json"))["items"]
    ready = {
        node["metadata"]["name"]: condition["status"]
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    }
    assert ready == dict.fromkeys(cluster.nodes, "True")
    assert f"{NAME} has two ready nodes after " in cluster.said


def test_a_second_up_changes_nothing(cluster: Cluster) -> None:
    def identities() -> str:
        return output("docker", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", *cluster.containers)

    before = identities()
    assert f"{NAME} is up already" in output(SCRIPTS / "up.sh", NAME)
    assert identities() == before


def test_up_tells_of_a_cluster_with_a_paused_node(cluster: Cluster) -> None:
    output("docker", "pause", cluster.nodes[1])
    try:
        done = run(SCRIPTS / "up.sh", NAME)
    finally:
        output("docker", "unpause", cluster.nodes[1])
    assert done.returncode == 1
    assert f"{NAME}-2 paused" in done.stderr
    assert f"down.sh {NAME}" in done.stderr


@pytest.mark.parametrize("name", ["Upper", "-x", "x" * 41, "a b"])
def test_up_refuses_a_name_that_no_host_can_have(name: str) -> None:
    done = run(SCRIPTS / "up.sh", name)
    assert done.returncode == 1
    assert "A cluster's name is" in done.stderr


def test_load_names_the_image_that_this_machine_lacks(cluster: Cluster) -> None:
    done = run("env", f"CLUSTER={cluster.name}", SCRIPTS / "load.sh", "drayage/no-such-image")
    assert done.returncode == 1
    assert "drayage/no-such-image is not on this machine" in done.stderr


def test_load_without_a_cluster_says_how_to_start_one() -> None:
    done = run("env", "CLUSTER=no-such-cluster", SCRIPTS / "load.sh", IMAGE)
    assert done.returncode == 1
    assert "up.sh no-such-cluster" in done.stderr


def test_load_leaves_no_name_behind(cluster: Cluster) -> None:
    """Names of a registry that is gone would stay in everybody's list of images."""
    registry = output("docker", "port", cluster.containers[2], "5000/tcp")
    assert registry not in output("docker", "images", "--format", "{{.Repository}}")


# What the containers may do, and who reaches them.


def test_no_container_is_privileged_and_ports_are_this_machines_alone(cluster: Cluster) -> None:
    for container in json.loads(output("docker", "inspect", *cluster.containers)):
        assert not container["HostConfig"]["Privileged"]
        assert "SYS_RESOURCE" not in (container["HostConfig"]["CapAdd"] or [])
        published = [binding for ports in container["HostConfig"]["PortBindings"].values() for binding in ports]
        assert {binding["HostIp"] for binding in published} <= {"127.0.0.1"}


def test_the_machine_keeps_its_own_settings(cluster: Cluster) -> None:
    """A kubelet sets some of the kernel's; it finds them as it wants them, in files that hide the machine's."""
    wanted = {"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1"}
    for node in cluster.nodes:
        mounts = output("docker", "exec", node, "awk", "{ print $5 }", "/proc/self/mountinfo").splitlines()
        for setting, value in wanted.items():
            assert output("docker", "exec", node, "cat", f"/proc/sys/{setting}") == value
            assert f"/proc/sys/{setting}" in mounts


def test_the_api_server_proves_who_it_is_and_wants_a_token(api: dict[str, Any]) -> None:
    verified = ssl.create_default_context(cadata=api["authority"])
    bearer = {"Authorization": f"Bearer {api['token']}"}
    with httpx.Client(base_url=api["server"], verify=verified, trust_env=False) as client:
        assert client.get("/api/v1/nodes", headers=bearer).status_code == 200
        assert client.get("/api/v1/nodes").status_code == 401
        assert client.get("/api/v1/nodes", headers={"Authorization": "Bearer guessed"}).status_code == 401
    with (
        httpx.Client(base_url=api["server"], trust_env=False) as client,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get("/readyz", headers=bearer)


def test_a_kubelet_answers_nobody_without_rights(cluster: Cluster, api: dict[str, Any]) -> None:
    verified = ssl.create_default_context(cadata=api["authority"])
    for node in cluster.nodes:
        address = json.loads(output("docker", "inspect", node))[0]["NetworkSettings"]["Networks"][NAME]["IPAddress"]
        with httpx.Client(base_url=f"https://{address}:10250", verify=verified, trust_env=False) as client:
            answer = client.get("/pods", extensions={"sni_hostname": node})
        assert answer.status_code == 401


def test_only_the_kubeconfig_holds_the_token(cluster: Cluster, api: dict[str, Any]) -> None:
    assert cluster.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert len(api["token"]) == 64
    for node in cluster.nodes:
        said = output("docker", "inspect", node) + output("sh", "-c", f"docker logs {node} 2>&1")
        logs = output("docker", "exec", node, "sh", "-c", "cat /var/log/kubernetes/*")
        assert "kubelet" in logs
        assert api["token"] not in said + logs


def test_a_service_account_has_no_rights_until_it_is_given_some(cluster: Cluster) -> None:
    account = "--as=system:serviceaccount:default:default"
    assert "cannot list resource" in cluster.refused("get", "pods", account)
    assert "cannot create resource" in cluster.refused("create", "namespace", "other", account)
    cluster.kubectl("create", "role", "reader", "--verb=list", "--resource=pods")
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:default")
    try:
        cluster.kubectl("get", "pods", account)
        assert "cannot list resource" in cluster.refused("get", "secrets", account)
    finally:
        cluster.kubectl("delete", "role/reader", "rolebinding/reader")


# Pods.


def test_pods_on_both_nodes_reach_each_other(pods: Cluster) -> None:
    """Also by a service's name, which the cluster's DNS resolves, and with their own addresses."""
    first, second = pods.nodes
    pods.start_pod("server", SERVE, node=first)
    server = pods.running("server")["status"]
    pods.kubectl("expose", "pod", "server", "--port=8080")
    for node, client in [(second, "far"), (first, "near")]:
        for address, how in [
            (server["podIP"], "address"),
            ("server.default.svc.cluster.local", "name"),
            ("server", "short"),
        ]:
            pods.start_pod(f"{client}-{how}", f"bash -c '{asking(address)}'", node=node)
            ended = pods.ended(f"{client}-{how}")
            said = pods.kubectl("logs", f"{client}-{how}")
            pod = pods.pod(f"{client}-{how}")
            assert ended["exitCode"] == 0, said
            assert pod["spec"]["nodeName"] == node
            assert said == f"served by server to {pod['status']['podIP']}"


def test_pods_reach_containers_of_a_network_that_the_nodes_join(pods: Cluster) -> None:
    """This is how steps reach the services of a compose stack."""
    network = f"drayage-test-{uuid.uuid4().hex[:8]}"
    output("docker", "network", "create", network)
    server = ""
    try:
        server = output(
            "docker",
            "run",
            "--detach",
            "--network",
            network,
            "--name",
            network,
            "--hostname",
            "service",
            IMAGE,
            "sh",
            "-c",
            SERVE,
        )
        for node in pods.nodes:
            output("docker", "network", "connect", network, node)
            client = f"client-{node[-1]}"
            pods.start_pod(client, f"bash -c '{asking(network)}'", node=node)
            assert pods.ended(client)["exitCode"] == 0, pods.kubectl("logs", client)
            assert pods.kubectl("logs", client).startswith("served by service to ")
    finally:
        for node in pods.nodes:
            run("docker", "network", "disconnect", network, node)
        if server:
            output("docker", "rm", "--force", server)
        output("docker", "network", "rm", network)


def test_nodes_pull_what_was_loaded_under_the_same_name(pods: Cluster) -> None:
    """And again when an image with the same name is loaded, as after every change of a workload."""
    name = f"drayage/cluster-test-{uuid.uuid4().hex[:8]}"
    loaded = []
    try:
        for version in ["first", "second"]:
            output("docker", "build", "--quiet", "--tag", name, "-", said=f"FROM {IMAGE}\nENV VERSION={version}\n")
            image, digest = output("env", f"CLUSTER={pods.name}", SCRIPTS / "load.sh", name).split()
            assert image == name
            pods.start_pod(version, "echo $VERSION", image=name)
            pods.ended(version)
            assert pods.kubectl("logs", version) == version
            assert pods.pod(version)["status"]["containerStatuses"][0]["imageID"] == f"docker.io/{name}@{digest}"
            loaded.append(digest)
        pods.start_pod("by-digest", "echo $VERSION", image=f"{name}@{loaded[0]}")
        pods.ended("by-digest")
        assert pods.kubectl("logs", "by-digest") == "first"
    finally:
        run("docker", "rmi", name)


def test_an_image_that_was_not_loaded_is_named(pods: Cluster) -> None:
    pods.start_pod("missing", "true", image="drayage/no-such-image")

    def waiting() -> dict[str, Any]:
        return pods.pod("missing")["status"].get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {})

    wait_until(
        lambda: waiting().get("reason") in {"ErrImagePull", "ImagePullBackOff"}, what="a refused pull", seen=waiting
    )
    assert "drayage/no-such-image" in waiting()["message"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_pod_over_its_memory_limit_is_killed(pods: Cluster, number: int) -> None:
    pods.start_pod(
        "hungry",
        "exec perl -e '$x = \"x\" x 200_000_000; sleep 60'",
        node=pods.nodes[number - 1],
        resources={"limits": {"memory": "64Mi"}},
    )
    ended = pods.ended("hungry")
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


@pytest.mark.parametrize("number", [1, 2])
def test_a_pod_gives_its_log_and_runs_commands(pods: Cluster, number: int) -> None:
    pods.start_pod("talking", "echo to-stdout; echo to-stderr >&2; exec sleep 60", node=pods.nodes[number - 1])
    pods.running("talking")
    assert set(pods.kubectl("logs", "talking").splitlines()) == {"to-stdout", "to-stderr"}
    assert (
        pods.kubectl("exec", "--stdin", "talking", "--", "sh", "-c", "cat; hostname", said="given ") == "given talking"
    )
    assert "exit code 3" in pods.refused("exec", "talking", "--", "sh", "-c", "exit 3")


# Failures of its parts.


def test_a_killed_component_is_started_again(cluster: Cluster) -> None:
    def apiserver() -> str:
        return run("docker", "exec", cluster.nodes[0], "pgrep", "-x", "kube-apiserver").stdout.strip()

    before = apiserver()
    assert before
    output("docker", "exec", cluster.nodes[0], "kill", "-9", before)
    wait_until(
        lambda: (
            apiserver() not in {"", before} and run(*cluster.kubectl_words, "get", "--raw", "/readyz").stdout == "ok"
        ),
        what="another API server",
        seen=apiserver,
    )
    assert "kube-apiserver ended with status 137" in output("docker", "logs", cluster.nodes[0])


def test_a_stopped_node_joins_again(pods: Cluster) -> None:
    second = pods.nodes[1]
    output("docker", "stop", "--time", "5", second)
    output("docker", "start", second)
    pods.start_pod("after", "echo here", node=second)
    assert pods.ended("after")["exitCode"] == 0
    assert pods.kubectl("logs", "after") == "here"


def test_a_restarted_control_plane_keeps_what_it_knew(cluster: Cluster) -> None:
    """Its port is another one, which ``up.sh`` writes down."""
    cluster.kubectl("create", "configmap", "kept")
    output("docker", "restart", "--time", "5", cluster.nodes[0])
    output(SCRIPTS / "up.sh", NAME)
    cluster.kubectl("delete", "configmap", "kept")
    assert output("docker", "port", cluster.nodes[0], "6443/tcp") in cluster.kubeconfig.read_text()


def test_down_leaves_nothing_of_its_own_cluster_and_all_of_another(cluster: Cluster) -> None:
    own = Cluster("drayage-test-removal", said="")
    try:
        output(SCRIPTS / "up.sh", own.name)
        volumes = {
            mount["Name"]
            for container in json.loads(output("docker", "inspect", *own.containers))
            for mount in container["Mounts"]
            if mount["Type"] == "volume"
        }
        assert len(volumes) == 5
        output("docker", "pause", own.nodes[1])
    finally:
        output(SCRIPTS / "down.sh", own.name)
    assert not output("docker", "ps", "--all", "--quiet", "--filter", f"name={own.name}")
    assert not output("docker", "network", "ls", "--quiet", "--filter", f"name={own.name}")
    assert not volumes & set(output("docker", "volume", "ls", "--quiet").splitlines())
    assert not own.kubeconfig.parent.exists()
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"
    output(SCRIPTS / "down.sh", own.name)
