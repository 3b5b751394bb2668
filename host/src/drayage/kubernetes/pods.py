"""Says what the pod of a container is made of.

The workload runs as its image is. Beside it stand two containers of the relay, each for a reason that showed when it
was missing: the native sidecar ``relay`` is started before the workload, ends after it, and is restarted if it is
killed, so that messages stay readable until they were read; the regular container ``stay`` keeps the pod from ending
before, and lets a deletion through at once.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drayage.engine import ContainerSpec, Mount
from drayage.errors import SettingsError
from drayage.kubernetes.names import CONTEXT, FINALIZER, HOST, LABELS, pod_labels
from drayage.kubernetes.settings import KubernetesSettings
from drayage.mailbox import CONTEXT_FILE, WORKLOAD_CONTEXT, WORKLOAD_FOLDER
from drayage.secrets import SECRETS_DIRECTORY

WORKLOAD = "workload"
RELAY = "relay"
STAY = "stay"
RECEIVE = "receive"
INSTALL = "install"
STATE_FOLDER = "/drayage/state"
TOOLS_FOLDER = "/drayage/bin"
TOOL = f"{TOOLS_FOLDER}/relay"
READY = "ready"
"""The file whose arrival says that a container without a context has its secrets."""
WAITS = "--wait-context"
"""What tells the relay to let a workload that opens its context wait for it."""
LONGEST_ANNOTATION_BYTES = 200 * 1024

_RELAY_USER = 65532
_UNREACHABLE = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")


@dataclass(frozen=True)
class Post:
    """What a pod's mailbox needs of the pod.

    Args:
        context: The context; None if there is none, or none yet.
        receives: Whether the workload writes messages.
        waits: Whether the workload is started before its context is there.
    """

    context: bytes | None = None
    receives: bool = False
    waits: bool = False

    def is_carried(self, spec: ContainerSpec) -> bool:
        """Return whether something must be brought into the pod before its workload may start."""
        return bool(spec.secrets) or (self.context is not None and not self.waits and not self._fits)

    def is_annotated(self, spec: ContainerSpec) -> bool:
        """Return whether the context is part of the pod itself."""
        return self.context is not None and not self.waits and not self.is_carried(spec)

    @property
    def _fits(self) -> bool:
        return self.context is not None and len(self.context) <= LONGEST_ANNOTATION_BYTES


def build_pod(
    name: str, spec: ContainerSpec, settings: KubernetesSettings, post: Post, *, host: str, pull_policy: str | None
) -> dict[str, Any]:
    """Return a pod as the API server takes it.

    Args:
        name: Its name.
        spec: What the container is made of; :func:`require_possible` has accepted it.
        settings: The deployment's settings.
        post: What its mailbox needs.
        host: The process that follows it.
        pull_policy: When the node pulls the image; None leaves it to the cluster.
    """
    carried, annotated = post.is_carried(spec), post.is_annotated(spec)
    volumes = _Volumes()
    inits: list[dict[str, Any]] = []
    beside: list[dict[str, Any]] = []
    io = volumes.add("io", {"emptyDir": {}}, WORKLOAD_FOLDER) if post.receives or post.waits or carried else None
    state = volumes.add("state", {"emptyDir": {}}, STATE_FOLDER) if io else None
    if settings.usage:
        tools = volumes.add("tools", {"emptyDir": {}}, TOOLS_FOLDER)
        inits.append(_relay(settings, INSTALL, ["install", TOOL], [tools]))
        volumes.mount(tools, read_only=True)
    if io and state:
        secret = volumes.add("secrets", {"emptyDir": {"medium": "Memory"}}, SECRETS_DIRECTORY) if spec.secrets else None
        linger = ["--linger", f"{settings.linger_s}s"]
        hold = ["hold", *linger, "--state", STATE_FOLDER, *([WAITS] if post.waits else [])]
        own = [io, state, *([secret] if secret else [])]
        inits.append({**_relay(settings, RELAY, hold, own), "restartPolicy": "Always"})
        if carried:
            awaited = READY if post.context is None or post.waits else CONTEXT_FILE
            inits.append(_relay(settings, RECEIVE, ["receive", awaited, *linger], [io]))
        if post.receives or post.waits:
            volumes.mount(io)
            beside.append(_relay(settings, STAY, ["stay", *linger, "--state", STATE_FOLDER], [state]))
        elif post.context is not None:
            volumes.mount(io)
        if secret:
            volumes.mount(secret, read_only=True)
    if annotated:
        source = {
            "downwardAPI": {
                "items": [{"path": CONTEXT_FILE, "fieldRef": {"fieldPath": f"metadata.annotations['{CONTEXT}']"}}]
            }
        }
        volumes.mount({**volumes.add("context", source, WORKLOAD_CONTEXT), "subPath": CONTEXT_FILE}, read_only=True)
    _add_mounts(volumes, spec, settings)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {**pod_labels(spec.labels), HOST: host},
            "annotations": {
                LABELS: json.dumps(dict(spec.labels), sort_keys=True),
                "kubectl.kubernetes.io/default-container": WORKLOAD,
                **({CONTEXT: (post.context or b"").decode()} if annotated else {}),
            },
            "finalizers": [FINALIZER],
        },
        "spec": {
            **_pod_spec(settings),
            "initContainers": inits,
            "containers": [_workload(spec, settings, volumes.mounts, pull_policy), *beside],
            "volumes": volumes.volumes,
        },
    }
    whole: dict[str, Any] = merged(pod, settings.pod)
    return whole


def require_possible(spec: ContainerSpec, settings: KubernetesSettings) -> None:
    """Check that a pod can be made of a specification.

    Raises:
        SettingsError: It cannot; all reasons are named.
    """
    problems = [
        *(
            f"container_kwargs: {name!r} is Docker's; use the settings of Kubernetes, or its `pod`"
            for name in spec.options
        ),
        *(
            f"networks: a pod has the cluster's network and joins no other (got {name!r}); use a NetworkPolicy, and "
            "leave out `networks` and DRAYAGE_NETWORK; to replay a step that had one, add `--network default`"
            for name in spec.networks
        ),
        *(_mount_problem(mount) for mount in spec.mounts if mount.kind in {"bind", "local"}),
        *(
            f"env: a pod cannot take {name} away from its image; set it to an empty value"
            for name, value in spec.environment.items()
            if value is None
        ),
        *(f"secrets: a file cannot be called {name!r}" for name in spec.secrets if name.startswith(".") or "/" in name),
    ]
    if spec.published_ports:
        problems.append("ports: a pod has an address of its own, and its ports cannot be published on a machine")
    if spec.user is not None and not spec.user.replace(":", "", 1).isdigit():
        problems.append(
            f"user: expected `uid[:gid]` as numbers, got {spec.user!r}: the cluster does not know an image's names"
        )
    if settings.restricted and spec.user is not None and spec.user.split(":")[0] == "0":
        problems.append("user: the settings of Kubernetes have `restricted`, and 0 is root; choose another user")
    if problems:
        raise SettingsError(f"{'; '.join(problems)}. Nothing was started.")


def merged(base: Any, over: Any) -> Any:
    """Return one structure merged into another: mappings by key, lists of named objects by name, all else replaced."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{key: merged(base[key], value) if key in base else value for key, value in over.items()}}
    if isinstance(base, Sequence) and isinstance(over, Sequence) and _are_named(over) and _are_named(base):
        named = {each["name"]: each for each in base}
        return list({**named, **{it["name"]: merged(named.get(it["name"], {}), it) for it in over}}.values())
    return over


def _are_named(objects: Any) -> bool:
    return isinstance(objects, list | tuple) and all(isinstance(it, Mapping) and "name" in it for it in objects)


class _Volumes:
    """The volumes of a pod, and where the workload sees them."""

    def __init__(self) -> None:
        self.volumes: list[dict[str, Any]] = []
        self.mounts: list[dict[str, Any]] = []

    def add(self, name: str, source: Mapping[str, Any], target: str) -> dict[str, Any]:
        """Add a volume, and return how a container mounts it."""
        self.volumes.append({"name": name, **source})
        return {"name": name, "mountPath": target}

    def mount(self, mount: Mapping[str, Any], *, read_only: bool = False) -> None:
        """Let the workload see a volume."""
        self.mounts.append({**mount, **({"readOnly": True} if read_only else {})})


def _add_mounts(volumes: _Volumes, spec: ContainerSpec, settings: KubernetesSettings) -> None:
    if spec.shm_bytes is not None:
        volumes.mount(volumes.add("shm", _memory(spec.shm_bytes), "/dev/shm"))  # noqa: S108 - where POSIX has it
    for number, mount in enumerate(spec.mounts):
        if mount.kind == "tmpfs":
            volumes.mount(volumes.add(f"mount-{number}", _memory(mount.size_bytes), mount.target))
        else:
            claim = {"persistentVolumeClaim": {"claimName": mount.source}}
            volumes.mount(volumes.add(f"mount-{number}", claim, mount.target), read_only=mount.read_only)
    for volume in settings.volumes:
        volumes.mount(volumes.add(volume.name, volume.source, volume.target), read_only=volume.read_only)


def _memory(size_bytes: int) -> dict[str, Any]:
    return {"emptyDir": {"medium": "Memory", **({"sizeLimit": str(size_bytes)} if size_bytes else {})}}


def _mount_problem(mount: Mount) -> str:
    return (
        f"mounts: a node has no path of this machine (got {mount.source!r} for {mount.target}); use a volume, whose "
        "name is that of a PersistentVolumeClaim, or the settings' `volumes`"
    )


def _workload(
    spec: ContainerSpec, settings: KubernetesSettings, mounts: Sequence[Mapping[str, Any]], pull_policy: str | None
) -> dict[str, Any]:
    limits = {
        **settings.limits,
        **({} if spec.memory_bytes is None else {"memory": str(spec.memory_bytes)}),
        **({} if spec.cpus is None else {"cpu": f"{round(spec.cpus * 1000)}m"}),
    }
    command = shlex.split(spec.command) if isinstance(spec.command, str) else spec.command
    optional = {
        "command": None if spec.entrypoint is None else [_plain(word) for word in spec.entrypoint],
        "args": None if command is None else [_plain(word) for word in command],
        "imagePullPolicy": pull_policy,
        **(dict.fromkeys(("stdin", "tty"), True) if spec.terminal else {}),
    }
    return {
        "name": WORKLOAD,
        "image": spec.image,
        "env": [{"name": name, "value": _plain(value or "")} for name, value in spec.environment.items()],
        "resources": {"limits": limits, "requests": dict(settings.requests)},
        "securityContext": _security(spec, settings),
        "volumeMounts": list(mounts),
        **{name: value for name, value in optional.items() if value is not None},
    }


def _plain(text: str) -> str:
    """Return text that the cluster leaves as it is: it replaces ``$(NAME)`` by a variable's value."""
    return text.replace("$", "$$")


def _security(spec: ContainerSpec, settings: KubernetesSettings) -> dict[str, Any]:
    context: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if settings.restricted:
        context |= {"runAsNonRoot": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    if spec.user is not None:
        user, _, group = spec.user.partition(":")
        context |= {"runAsUser": int(user), **({"runAsGroup": int(group)} if group else {})}
    if spec.read_only_root:
        context["readOnlyRootFilesystem"] = True
    if spec.no_new_privileges:
        context["allowPrivilegeEscalation"] = False
    if spec.cap_drop and not settings.restricted:
        context["capabilities"] = {"drop": [name.removeprefix("CAP_") for name in spec.cap_drop]}
    return context


def _relay(
    settings: KubernetesSettings, name: str, arguments: Sequence[str], mounts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "name": name,
        "image": settings.relay_image,
        "imagePullPolicy": "IfNotPresent",
        "args": list(arguments),
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "runAsUser": _RELAY_USER,
            "runAsGroup": _RELAY_USER,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": list(mounts),
    }


def _pod_spec(settings: KubernetesSettings) -> dict[str, Any]:
    lost = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": settings.node_lost_s}
        for key in _UNREACHABLE
    ]
    optional = {
        "nodeSelector": settings.node_selector,
        "affinity": settings.affinity,
        "serviceAccountName": settings.service_account,
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
        "runtimeClassName": settings.runtime_class,
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": settings.service_account is not None,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "tolerations": [*settings.tolerations, *lost],
        **{name: value for name, value in optional.items() if value},
    }
