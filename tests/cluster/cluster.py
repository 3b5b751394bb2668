"""A Kubernetes cluster of the tests' own, driven by the scripts that people use."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack import REPOSITORY

SCRIPTS = REPOSITORY / "deploy/kubernetes/cluster"
NAME = "drayage-test-cluster"
IMAGE = "debian:trixie-slim"


def run(*words: str | Path, said: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit code."""
    return subprocess.run(words, input=said, capture_output=True, text=True, check=False)  # noqa: S603 - ours


def output(*words: str | Path, said: str = "") -> str:
    """Return what a command that must succeed prints on standard output."""
    done = run(*words, said=said)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Cluster:
    """A cluster that ``up.sh`` started, and the containers it consists of."""

    name: str
    said: str

    @property
    def kubeconfig(self) -> Path:
        """Return the file that ``up.sh`` wrote."""
        return REPOSITORY / ".drayage/kubernetes" / self.name / "kubeconfig"

    @property
    def nodes(self) -> tuple[str, str]:
        """Return the two nodes' names, which are their containers' names too."""
        return f"{self.name}-1", f"{self.name}-2"

    @property
    def containers(self) -> tuple[str, str, str]:
        """Return the names of all containers."""
        return (*self.nodes, f"{self.name}-registry")

    def kubectl(self, *words: str, said: str = "") -> str:
        """Return what kubectl, which must succeed, prints."""
        return output(*self.kubectl_words, *words, said=said)

    def refused(self, *words: str) -> str:
        """Return what kubectl, which must fail, says."""
        done = run(*self.kubectl_words, *words)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def start_pod(self, name: str, script: str, *, image: str = IMAGE, node: str = "", **container: Any) -> None:
        """Start a pod with one container that runs a shell script."""
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "nodeSelector": {"kubernetes.io/hostname": node} if node else {},
                "containers": [{"name": "main", "image": image, "command": ["sh", "-c", script], **container}],
            },
        }
        self.kubectl("create", "--filename", "-", said=json.dumps(pod))

    def pod(self, name: str) -> dict[str, Any]:
        """Return a pod as the API server has it."""
        pod: dict[str, Any] = json.loads(self.kubectl("get", "pod", name, "--output", "json"))
        return pod

    def ended(self, name: str) -> dict[str, Any]:
        """Wait for a pod's container to end, and return how it did: ``exitCode``, ``reason``."""
        return wait_until(
            lambda: _container(self.pod(name)).get("state", {}).get("terminated"),
            what=f"the end of pod {name}",
            seen=lambda: self.pod(name)["status"],
        )

    def running(self, name: str) -> dict[str, Any]:
        """Wait for a pod to be ready, and return it."""
        self.kubectl("wait", "--for", "condition=Ready", f"pod/{name}", "--timeout", "60s")
        return self.pod(name)

    @property
    def kubectl_words(self) -> tuple[str, ...]:
        """Return the command that runs kubectl in the first node."""
        return ("docker", "exec", "--interactive", self.nodes[0], "kubectl")


def wait_until(condition: Callable[[], Any], *, what: str, seen: Callable[[], Any], timeout_s: float = 60) -> Any:
    """Return the condition's first true value; else fail with what is seen instead."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} was not seen in {timeout_s} s; instead: {seen()}"
        time.sleep(0.2)
    return value


def _container(pod: dict[str, Any]) -> dict[str, Any]:
    statuses: list[dict[str, Any]] = pod["status"].get("containerStatuses", [])
    return statuses[0] if statuses else {}
