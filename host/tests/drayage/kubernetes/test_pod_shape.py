"""A container's specification becomes a pod, or is refused before anything is made."""

import json
from typing import Any

import pytest

from drayage.engine import ContainerSpec, Mount
from drayage.errors import SettingsError
from drayage.kubernetes.names import FINALIZER, HOST, LABELS
from drayage.kubernetes.pods import LONGEST_ANNOTATION_BYTES, Post, build_pod, merged, require_possible
from drayage.kubernetes.settings import KubernetesSettings

SETTINGS = KubernetesSettings()


def build(post: Post | None = None, settings: KubernetesSettings = SETTINGS, **spec: Any) -> dict[str, Any]:
    """Return a pod of a specification."""
    whole = ContainerSpec("tool:1", **{"labels": {"drayage/step": "a[b]"}, **spec})
    return build_pod("name", whole, settings, post or Post(), host="host-1", pull_policy=None)


def containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a pod's containers by name."""
    return {it["name"]: it for it in (*pod["spec"]["initContainers"], *pod["spec"]["containers"])}


def mounts(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a container's mounts by path."""
    return {it["mountPath"]: it for it in container["volumeMounts"]}


def volume(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the source of a pod's volume."""
    return next(it for it in pod["spec"]["volumes"] if it["name"] == name)


def test_a_step_has_a_relay_that_outlives_it_and_one_that_keeps_the_pod_open() -> None:
    pod = build(Post(b"{}", receives=True))
    assert [it["name"] for it in pod["spec"]["initContainers"]] == ["relay"]
    assert [it["name"] for it in pod["spec"]["containers"]] == ["workload", "stay"]
    relay = containers(pod)["relay"]
    assert relay["restartPolicy"] == "Always", "a native sidecar"
    assert relay["args"][0] == "hold"
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["metadata"]["finalizers"] == [FINALIZER]
    assert pod["metadata"]["labels"][HOST] == "host-1"
    assert json.loads(pod["metadata"]["annotations"][LABELS]) == {"drayage/step": "a[b]"}
    assert "/drayage/state" not in mounts(containers(pod)["workload"]), "the workload cannot end the relay"


def test_a_short_context_is_part_of_the_pod() -> None:
    pod = build(Post(b'{"a": 1}', receives=True))
    assert pod["metadata"]["annotations"]["drayage.dev/context"] == '{"a": 1}'
    mount = mounts(containers(pod)["workload"])["/drayage/io/context.json"]
    assert (mount["subPath"], mount["readOnly"]) == ("context.json", True)


@pytest.mark.parametrize(
    ("post", "secrets"),
    [
        (Post(b"x" * (LONGEST_ANNOTATION_BYTES + 1), receives=True), {}),
        (Post(b"{}", receives=True), {"key": b"hush"}),
        (Post(None), {"key": b"hush"}),
    ],
    ids=["a long context", "secrets", "secrets alone"],
)
def test_what_is_long_or_secret_is_never_part_of_the_pod(post: Post, secrets: dict[str, bytes]) -> None:
    pod = build(post, secrets=secrets)
    assert [it["name"] for it in pod["spec"]["initContainers"]] == ["relay", "receive"]
    assert "drayage.dev/context" not in pod["metadata"]["annotations"]
    assert "hush" not in json.dumps(pod)
    assert containers(pod)["receive"]["args"][1] == ("ready" if post.context is None else "context.json")
    if secrets:
        assert volume(pod, "secrets")["emptyDir"] == {"medium": "Memory"}
        assert mounts(containers(pod)["workload"])["/run/secrets"]["readOnly"]


def test_a_workload_that_sends_no_messages_has_nothing_beside_it() -> None:
    pod = build(Post(b"{}"))
    assert list(containers(pod)) == ["workload"]
    assert list(mounts(containers(pod)["workload"])) == ["/drayage/io/context.json"]


def test_a_standby_waits_at_a_pipe() -> None:
    pod = build(Post(None, receives=True, waits=True))
    assert list(containers(pod)) == ["relay", "workload", "stay"]
    assert "--wait-context" in containers(pod)["relay"]["args"]


def test_usage_puts_the_relay_into_the_workloads_container() -> None:
    pod = build(Post(b"{}"), KubernetesSettings(usage=True))
    assert pod["spec"]["initContainers"][0]["args"] == ["install", "/drayage/bin/relay"]
    assert mounts(containers(pod)["workload"])["/drayage/bin"]["readOnly"]


def test_every_limit_and_restriction_of_a_step_is_in_the_pod() -> None:
    pod = build(
        memory_bytes=2**28,
        cpus=0.25,
        user="1234:99",
        read_only_root=True,
        shm_bytes=2**20,
        mounts=[
            Mount("", "/scratch", kind="tmpfs", size_bytes=2**21),
            Mount("rates", "/rates", kind="volume"),
            Mount("out", "/out", kind="volume", read_only=False),
        ],
        environment={"A": "$(B) $c", "EMPTY": ""},
        command="tool 'one word' $HOME",
    )
    workload = containers(pod)["workload"]
    assert workload["resources"]["limits"] == {"memory": str(2**28), "cpu": "250m"}
    security = workload["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (1234, 99)
    assert security["readOnlyRootFilesystem"]
    assert volume(pod, "shm")["emptyDir"] == {"medium": "Memory", "sizeLimit": str(2**20)}
    assert volume(pod, "mount-0")["emptyDir"] == {"medium": "Memory", "sizeLimit": str(2**21)}
    assert volume(pod, "mount-1")["persistentVolumeClaim"] == {"claimName": "rates"}
    assert mounts(workload)["/rates"]["readOnly"]
    assert "readOnly" not in mounts(workload)["/out"]
    assert workload["env"] == [{"name": "A", "value": "$$(B) $$c"}, {"name": "EMPTY", "value": ""}]
    assert workload["args"] == ["tool", "one word", "$$HOME"]
    assert "command" not in workload, "the image's own entrypoint stays"


def test_a_workload_is_restricted_unless_the_deployment_says_otherwise() -> None:
    security = containers(build())["workload"]["securityContext"]
    assert security["runAsNonRoot"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    free = containers(build(settings=KubernetesSettings(restricted=False)))["workload"]["securityContext"]
    assert free == {"seccompProfile": {"type": "RuntimeDefault"}}
    asked = build(settings=KubernetesSettings(restricted=False), cap_drop=("CAP_CHOWN",), no_new_privileges=True)
    assert containers(asked)["workload"]["securityContext"] == {
        "seccompProfile": {"type": "RuntimeDefault"},
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["CHOWN"]},
    }


def test_every_setting_of_the_deployment_is_in_the_pod() -> None:
    settings = KubernetesSettings.checked(
        {
            "relay_image": "registry.test/relay:2",
            "requests": {"cpu": 0.5, "memory": "64Mi"},
            "limits": {"nvidia.com/gpu": 1},
            "node_selector": {"disk": "fast"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "service_account": "reader",
            "image_pull_secrets": ["registry"],
            "volumes": [{"name": "rates", "target": "/rates", "source": {"configMap": {"name": "rates"}}}],
            "runtime_class": "gvisor",
            "node_lost_s": 20,
            "pod": {
                "metadata": {"labels": {"team": "data"}},
                "spec": {
                    "priorityClassName": "low",
                    "containers": [{"name": "workload", "env": [{"name": "TZ", "value": "UTC"}]}],
                },
            },
        },
        source="test",
    )
    pod = build(Post(b"{}", receives=True), settings, environment={"A": "1"}, memory_bytes=2**27)
    spec, workload = pod["spec"], containers(pod)["workload"]
    assert {it["image"] for it in containers(pod).values()} == {"tool:1", "registry.test/relay:2"}
    assert workload["resources"]["requests"] == {"cpu": "0.5", "memory": "64Mi"}
    assert workload["resources"]["limits"] == {"nvidia.com/gpu": "1", "memory": str(2**27)}
    assert spec["nodeSelector"] == {"disk": "fast"}
    assert spec["tolerations"][0] == {"key": "gpu", "operator": "Exists"}
    assert {it.get("tolerationSeconds") for it in spec["tolerations"][1:]} == {20}
    assert spec["affinity"] == {"nodeAffinity": {}}
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("reader", True)
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["runtimeClassName"] == "gvisor"
    assert spec["priorityClassName"] == "low"
    assert pod["metadata"]["labels"]["team"] == "data"
    assert pod["metadata"]["labels"][HOST] == "host-1", "what is merged takes nothing of ours away"
    assert mounts(workload)["/rates"]["readOnly"]
    assert workload["env"] == [{"name": "A", "value": "1"}, {"name": "TZ", "value": "UTC"}]
    assert workload["image"] == "tool:1"


def test_only_a_workload_that_somebody_talks_to_has_a_terminal() -> None:
    assert not {"stdin", "tty"} & containers(build())["workload"].keys()
    shell = containers(build(terminal=True))["workload"]
    assert (shell["stdin"], shell["tty"]) == (True, True)


def test_a_pod_has_no_token_unless_it_is_given_an_account() -> None:
    assert build()["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"options": {"mem_limit": 1}}, "container_kwargs: 'mem_limit'"),
        ({"networks": ["backend"]}, "NetworkPolicy"),
        ({"mounts": [Mount("/data", "/in")]}, "PersistentVolumeClaim"),
        ({"mounts": [Mount("/data", "/in", kind="local")]}, "PersistentVolumeClaim"),
        ({"environment": {"PATH": None}}, "take PATH away"),
        ({"published_ports": {80: 80}}, "published"),
        ({"user": "alice"}, "uid[:gid]"),
        ({"user": "0"}, "restricted"),
        ({"secrets": {".hidden": b""}}, ".hidden"),
    ],
)
def test_what_no_pod_can_be_is_refused_by_name_before_anything_is_made(spec: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        require_possible(ContainerSpec("tool:1", **spec), SETTINGS)
    assert told in str(raised.value)
    assert "Nothing was started" in str(raised.value)


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"networks: .*; ports: "):
        require_possible(ContainerSpec("tool:1", networks=["a"], published_ports={1: 1}), SETTINGS)


def test_an_ordinary_specification_is_possible() -> None:
    require_possible(ContainerSpec("tool:1", user="1000:1000", secrets={"a": b""}, environment={"A": ""}), SETTINGS)


def test_lists_without_names_are_replaced() -> None:
    assert merged({"a": [1, 2], "b": {"c": 1}}, {"a": [3], "b": {"d": 2}}) == {"a": [3], "b": {"c": 1, "d": 2}}
