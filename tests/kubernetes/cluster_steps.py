"""Steps on a cluster, for the tests of whole steps and of what may happen to their pods."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from contract_steps import SHELL_IMAGE, StepOutcome, materialize, shell, step, wait_until
from kubernetes.stream import stream
from kubernetes_namespace import Namespace

from drayage import DrayageClient
from drayage.kubernetes import KubernetesEngine, KubernetesSettings
from drayage.kubernetes.names import pod_labels

# Only a failing test waits this long; a process that imports Dagster takes a minute on a busy machine.
DEADLINE_S = 240.0
USER = "10001:10001"


@dataclass(frozen=True)
class ClusterDeployment:
    """What one test owns in a namespace, found by a label.

    Args:
        name: Name of the deployment.
        folder: Where its exchange root is.
        namespace: The namespace.
        instance: Its Dagster instance.
    """

    name: str
    folder: Path
    namespace: Namespace
    instance: dg.DagsterInstance

    @property
    def exchange_root(self) -> Path:
        return self.folder / "exchange"

    def engine(self, **settings: Any) -> KubernetesEngine:
        return KubernetesEngine(KubernetesSettings.load(**settings))

    def client(self, engine: KubernetesEngine | None = None, **arguments: Any) -> DrayageClient:
        engine = engine or self.engine()
        return DrayageClient(deployment=self.name, exchange_root=self.exchange_root, engine=engine, **arguments)

    def run(self, script: str, *, client: DrayageClient | None = None, **run: Any) -> StepOutcome:
        """Run one step of a script that speaks Pipes by hand, as a user that is not root."""
        asset = step(shell(script), **{"image": SHELL_IMAGE, "user": USER, **run})
        return materialize(self.instance, client or self.client(), asset)

    def pods(self) -> list[Any]:
        return self.namespace.pods(pod_labels({"drayage/deployment": self.name}))

    def wait_for_pod(self, **conditions: str) -> Any:
        """Wait for the deployment's pod whose workload runs, and return it."""

        def running() -> Any:
            for pod in self.pods():
                for status in pod.status.container_statuses or ():
                    if status.name == "workload" and status.state.running:
                        return pod
            return None

        return wait_until(running, what=f"a running pod {conditions}", deadline_s=DEADLINE_S)

    def execute(self, pod: str, *command: str) -> str:
        """Run a command in a pod's workload."""
        call = self.namespace.admin.connect_get_namespaced_pod_exec
        said = stream(call, pod, self.namespace.name, container="workload", command=list(command), stdout=True)
        return str(said)

    def nothing_is_left(self) -> bool:
        """Wait until the background has removed all pods."""
        return bool(wait_until(lambda: not self.pods(), what="the removal of the pods", deadline_s=DEADLINE_S))


def new_name() -> str:
    """Return a deployment's name that no other test has."""
    return f"cluster-{uuid.uuid4().hex[:8]}"


def metadata(outcome: StepOutcome) -> Mapping[str, Any]:
    """Return the metadata of the one materialization."""
    (found,) = outcome.materializations
    return found
