"""A cluster as an engine under test; ``engine_differences.py`` lists what cannot hold on one."""

import contextlib
import os
import uuid
from collections.abc import Sequence
from typing import NoReturn
from unittest.mock import patch

from kubernetes.stream import stream
from kubernetes_namespace import Namespace
from shell_scripts import Script

from drayage.engine import Engine
from drayage.kubernetes import KubernetesEngine, KubernetesSettings
from drayage.kubernetes.names import pod_labels

_LABEL = "drayage-engine-contract"


class KubernetesRig:
    """The cluster that KUBECONFIG names.

    Args:
        namespace: A namespace of it.
    """

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        # The contract's programs are free to be root, as on an engine without a standard of its own.
        self._settings = KubernetesSettings.load(restricted=False, usage=True)
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(patch.dict(os.environ, {"KUBECONFIG": str(namespace.kubeconfig)}))
        self.engine: Engine = KubernetesEngine(self._settings)
        self.labels = {_LABEL: uuid.uuid4().hex}

    def command(self, script: Script) -> Sequence[str]:
        return ["sh", "-c", script.shell]

    def signal(self, container_id: str, signal: str) -> None:
        command = ["sh", "-c", f"kill -s {signal.removeprefix('SIG')} 1"]
        call = self._namespace.admin.connect_get_namespaced_pod_exec
        stream(
            call, container_id, self._namespace.name, container="workload", command=command, stdout=True, stderr=True
        )

    def left_behind(self) -> int:
        return len(self._namespace.pods({"drayage.dev/role": "file"}))

    def memory_kwargs(self, size_bytes: int) -> NoReturn:
        raise NotImplementedError(f"a cluster has no arguments of its own ({size_bytes})")

    def knows_out_of_memory(self, container_id: str) -> bool:
        pod = self._namespace.admin.read_namespaced_pod(container_id, self._namespace.name)
        workload = next(it for it in pod.status.container_statuses if it.name == "workload")
        return bool(workload.state.terminated.reason == "OOMKilled")

    def create_network(self) -> NoReturn:
        raise NotImplementedError("a cluster has no networks")

    def registry(self) -> NoReturn:
        raise NotImplementedError("nodes pull images")

    def unreachable(self) -> Engine:
        nowhere = str(self._namespace.kubeconfig_of_nowhere())
        self._stack.enter_context(patch.dict(os.environ, {"KUBECONFIG": nowhere}))
        return KubernetesEngine(self._settings)

    def close(self) -> None:
        self._stack.close()
        self._namespace.remove(pod_labels(self.labels))
