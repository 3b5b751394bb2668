"""A namespace of a cluster for one test session, and an account in it that has the rights of ``role.yaml`` alone."""

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config
from stack import REPOSITORY

ROLE = REPOSITORY / "deploy" / "kubernetes" / "role.yaml"
_HOURS_S = 6 * 3600


@dataclass(frozen=True)
class Namespace:
    """A namespace, and who may do what in it.

    Args:
        name: Its name.
        admin: A client with all rights, for what is not under test.
        kubeconfig: The kubeconfig of the account with the rights of a host.
        settings: Settings of Kubernetes under which a workload is as free as with Docker: it may be root.
    """

    name: str
    admin: client.CoreV1Api
    kubeconfig: Path
    settings: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a host whose engine it is."""
        return {
            "DRAYAGE_ENGINE": "kubernetes",
            "DRAYAGE_KUBERNETES_SETTINGS": str(self.settings),
            "KUBECONFIG": str(self.kubeconfig),
        }

    def kubeconfig_of_nowhere(self) -> Path:
        """Return the path of a kubeconfig whose cluster does not answer."""
        broken = yaml.safe_load(self.kubeconfig.read_text(encoding="utf-8"))
        broken["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
        file = self.kubeconfig.with_name("nowhere")
        file.write_text(yaml.safe_dump(broken), encoding="utf-8")
        return file

    def pods(self, labels: Mapping[str, str]) -> list[Any]:
        """Return the pods with these labels of Kubernetes."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        return list(self.admin.list_namespaced_pod(self.name, label_selector=selector).items)

    def remove(self, labels: Mapping[str, str]) -> None:
        """Let the cluster remove the pods with these labels; its nodes take some seconds for it."""
        for pod in self.pods(labels):
            with contextlib.suppress(client.ApiException):
                self.admin.delete_namespaced_pod(pod.metadata.name, self.name, grace_period_seconds=2)
                self.admin.patch_namespaced_pod(pod.metadata.name, self.name, {"metadata": {"finalizers": None}})


@contextlib.contextmanager
def open_namespace(folder: Path) -> Iterator[Namespace]:
    """Make a namespace with the rights of a host, and remove it with everything in it at the end.

    Args:
        folder: Where the kubeconfig of the account goes.
    """
    configuration = client.Configuration()
    config.load_kube_config(client_configuration=configuration)
    api = client.ApiClient(configuration)
    admin, rights = client.CoreV1Api(api), client.RbacAuthorizationV1Api(api)
    name = f"drayage-test-{uuid.uuid4().hex[:8]}"
    admin.create_namespace({"metadata": {"name": name}})
    try:
        admin.create_namespaced_service_account(name, {"metadata": {"name": "host"}})
        role = yaml.safe_load(ROLE.read_text(encoding="utf-8"))
        rights.create_namespaced_role(name, role)
        binding = {
            "metadata": {"name": "host"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]},
            "subjects": [{"kind": "ServiceAccount", "name": "host", "namespace": name}],
        }
        rights.create_namespaced_role_binding(name, binding)
        request = {"spec": {"expirationSeconds": _HOURS_S}}
        token = admin.create_namespaced_service_account_token("host", name, request).status.token
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(_kubeconfig(name, token)), encoding="utf-8")
        settings = folder / "settings.yaml"
        settings.write_text(yaml.safe_dump({"restricted": False}), encoding="utf-8")
        yield Namespace(name, admin, kubeconfig, settings)
    finally:
        admin.delete_namespace(name)
        api.close()


def _kubeconfig(namespace: str, token: str) -> dict[str, Any]:
    """Return the admin's kubeconfig with another user and namespace."""
    whole = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text(encoding="utf-8"))
    current = next(it for it in whole["contexts"] if it["name"] == whole["current-context"])
    cluster = next(it for it in whole["clusters"] if it["name"] == current["context"]["cluster"])
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": "host", "user": {"token": token}}],
        "contexts": [{"name": "host", "context": {"cluster": cluster["name"], "user": "host", "namespace": namespace}}],
        "current-context": "host",
    }
