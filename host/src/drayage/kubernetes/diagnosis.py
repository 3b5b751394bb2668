"""Examines a cluster for ``drayage doctor``: whether it answers, what is allowed there, and whether the relay runs."""

from collections.abc import Mapping, Sequence

from drayage.errors import DrayageError
from drayage.finding import Finding, examine
from drayage.kubernetes.api import Cluster
from drayage.kubernetes.images import opened
from drayage.kubernetes.settings import KubernetesSettings

_LEAST_MINOR = 33
_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

HOST_RIGHTS: Mapping[str, Sequence[str]] = {
    "pods": ("create", "get", "list", "watch", "patch", "delete"),
    "pods/log": ("get",),
    "pods/exec": ("get", "create"),
    "events": ("list",),
}
"""What a host may do, by resource: ``deploy/kubernetes/role.yaml``."""

TOOLBOX_RIGHTS: Mapping[str, Sequence[str]] = {
    "pods/ephemeralcontainers": ("patch",),
    "pods/attach": ("get", "create"),
}
"""What ``drayage shell --toolbox`` needs beyond that: ``deploy/kubernetes/debugging.yaml``."""

_DIFFERENCES = (
    "standard output and standard error come as one; memory and processor time are measured only with the setting "
    "`usage`; `shell` of an ended step is a new pod without its files; no --debugpy, no mounts of this machine, no "
    "networks (docs/kubernetes.md)"
)


def examine_cluster(cluster: Cluster, settings: KubernetesSettings) -> list[Finding]:
    """Return what is found out about a cluster; nothing of it lasts.

    Args:
        cluster: The cluster.
        settings: The deployment's settings.
    """
    answers = examine("engine", lambda: _version(cluster))
    if not answers.good:
        return [answers]
    return [
        answers,
        examine("rights", lambda: _rights(cluster)),
        examine("rights of a toolbox", lambda: _toolbox_rights(cluster)),
        Finding("differences", good=True, text=_DIFFERENCES + _choices(settings)),
    ]


def examine_relay(cluster: Cluster, settings: KubernetesSettings) -> tuple[bool, str]:
    """Return whether the relay starts in the cluster, and what to do if not.

    Args:
        cluster: The cluster.
        settings: The deployment's settings.
    """
    relay = settings.relay_image
    try:
        with opened(cluster, settings, relay) as pod:
            return True, f"the relay {relay} starts in the cluster, on node {pod['spec']['nodeName']}"
    except DrayageError as error:
        return False, (
            f"{error} The relay {relay} must start beside every workload: push it to a registry of the cluster's, or "
            "set DRAYAGE_RELAY_IMAGE."
        )


def _version(cluster: Cluster) -> tuple[bool, str]:
    found = cluster.request("GET", "/version", doing="report its version")
    minor = "".join(filter(str.isdigit, str(found["minor"])))
    text = f"Kubernetes {found['gitVersion']} answers at {cluster.access.server}; namespace {cluster.namespace}"
    if (int(found["major"]), int(minor or 0)) < (1, _LEAST_MINOR):
        return False, f"{text}. Expected 1.{_LEAST_MINOR} or later: native sidecars, and exec over websockets."
    return True, text


def _rights(cluster: Cluster) -> tuple[bool, str]:
    missing = _missing(cluster, HOST_RIGHTS)
    if missing:
        return False, (
            f"this account may not {', '.join(missing)} in namespace {cluster.namespace}. Apply "
            "deploy/kubernetes/role.yaml there, and bind the role to the account (deploy/kubernetes/README.md)."
        )
    return True, f"all that a host needs in namespace {cluster.namespace}"


def _toolbox_rights(cluster: Cluster) -> tuple[bool, str]:
    missing = _missing(cluster, TOOLBOX_RIGHTS)
    if missing:
        # No step needs them.
        return True, (
            f"none: `drayage shell --toolbox` does not work beside a running step, because this account may not "
            f"{', '.join(missing)}; deploy/kubernetes/debugging.yaml would allow it"
        )
    return True, "`drayage shell --toolbox` may start a container in a running pod"


def _missing(cluster: Cluster, rights: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"{verb} {resource}"
        for resource, verbs in rights.items()
        for verb in verbs
        if not _is_allowed(cluster, resource, verb)
    ]


def _is_allowed(cluster: Cluster, resource: str, verb: str) -> bool:
    """Ask the API server, which keeps nothing of it."""
    name, _, part = resource.partition("/")
    asked = {"namespace": cluster.namespace, "verb": verb, "resource": name, "subresource": part}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = cluster.request("POST", _REVIEW, review, doing=f"say whether this account may {verb} {resource}")
    return bool(answer["status"]["allowed"])


def _choices(settings: KubernetesSettings) -> str:
    return "; workloads must not run as root (setting `restricted`)" if settings.restricted else ""
