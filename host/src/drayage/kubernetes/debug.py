"""Lets people debug a step on a cluster: shells in its pod, beside it, or in a new one like it."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from drayage.debugger import SHELL, is_terminal
from drayage.engine import ContainerSpec, Engine
from drayage.errors import EngineError, SettingsError
from drayage.finding import Finding
from drayage.kubernetes.api import STRATEGIC_MERGE_PATCH, Cluster, RefusedError
from drayage.kubernetes.diagnosis import examine_cluster, examine_relay
from drayage.kubernetes.execution import Execution, FailedError, run
from drayage.kubernetes.images import opened
from drayage.kubernetes.pods import WORKLOAD
from drayage.kubernetes.settings import KubernetesSettings
from drayage.kubernetes.states import NO_COMMAND, Pod, container_part, container_status, is_running, terminated
from drayage.kubernetes.terminal import converse
from drayage.kubernetes.troubles import sentence

_LOOK_S = 0.5
_START_S = 120.0
_ANSWER_S = 60.0
# Something to wait with that every image with a shell has, and that ends at once when the pod does.
_WAIT = "trap 'exit 0' TERM; read -r line"
# It starts once its terminal is attached, so that all of its output is seen.
_WAIT_FIRST = 'read -r line; exec "$@"'
_NO_DEBUGPY = (
    "--debugpy needs an engine that mounts files of this machine and publishes ports on it, which a cluster does not. "
    "Replay the step's capsule with Docker: `drayage capsule RUN STEP -o FILE`, then `DRAYAGE_ENGINE=docker drayage "
    "replay FILE --debugpy`."
)


class KubernetesDebugger:
    """Debugging on the cluster that the environment names, the same one that ``KubernetesEngine`` uses.

    Args:
        settings: The deployment's settings; None takes the environment's.
    """

    def __init__(self, settings: KubernetesSettings | None = None) -> None:
        self._settings = settings or KubernetesSettings.load()
        self._cluster = Cluster(namespace=self._settings.namespace, context=self._settings.context)

    def examine_engine(self) -> Sequence[Finding]:
        """Examine the API server, the rights of this process's account, and what is particular to a cluster."""
        return examine_cluster(self._cluster, self._settings)

    def examine_mailbox(self, folder: Path) -> tuple[bool, str]:  # noqa: ARG002 - a node sees no file of this machine
        """Try the relay in a pod that is removed again."""
        return examine_relay(self._cluster, self._settings)

    def find_image(self, image: str) -> str:
        """Return an image's digest, as the node says it on which a pod of the image was tried."""
        with opened(self._cluster, self._settings, image) as pod:
            return str(container_status(pod, WORKLOAD)["imageID"]).rpartition("@")[2]

    def environment(self, image: str) -> NoReturn:  # noqa: ARG002 - the seam's signature
        """Refuse: only a debugger of Python needs it, and cannot be attached."""
        raise SettingsError(_NO_DEBUGPY)

    def has_program(self, image: str, names: Sequence[str]) -> NoReturn:  # noqa: ARG002 - the seam's signature
        """Refuse: only a debugger of Python needs it, and cannot be attached."""
        raise SettingsError(_NO_DEBUGPY)

    def image_facts(self, image: str) -> tuple[int | None, dict[str, str]]:  # noqa: ARG002 - the seam's signature
        """Return nothing: a cluster tells neither an image's size nor its labels."""
        return None, {}

    def has_shell(self, container_id: str) -> bool:
        """Return whether a running workload has a shell, by starting one that does nothing."""
        self._require_started(container_id)
        try:
            run(self._cluster, container_id, WORKLOAD, [SHELL, "-c", ":"], silence_s=_ANSWER_S)
        except FailedError as error:
            if not _is_missing(str(error)):
                raise
            return False
        return True

    def execute(self, container_id: str, command: Sequence[str]) -> int:
        """Run a command in a running workload, attached to this process's terminal if it has one.

        Args:
            container_id: Name of the pod.
            command: The command and its arguments.

        Returns:
            The command's exit code.
        """
        return self._converse(container_id, WORKLOAD, command)

    def run_beside(self, engine: Engine, container_id: str, image: str, command: Sequence[str]) -> int:  # noqa: ARG002 - the seam's signature
        """Run a command in an ephemeral container of a running pod, at this process's terminal if it has one.

        A cluster removes it only with its pod.

        Args:
            engine: The engine of the container.
            container_id: Name of the pod.
            image: The image of the ephemeral container.
            command: The command and its arguments.

        Returns:
            The command's exit code.
        """
        pod = self._require_started(container_id)
        name = f"toolbox-{1 + len(pod['spec'].get('ephemeralContainers') or ())}"
        try:
            self._cluster.request(
                "PATCH",
                self._cluster.path("pods", container_id, "ephemeralcontainers"),
                {"spec": {"ephemeralContainers": [_toolbox(name, pod, image, command, self._settings)]}},
                doing=f"start a container of {image} in pod {container_id}",
                content_type=STRATEGIC_MERGE_PATCH,
            )
            self._await_toolbox(container_id, name)
            program = self._begin(container_id, name, (), first=b"\n")
        except RefusedError as error:
            raise RefusedError(f"{error} The rights of a toolbox are in deploy/kubernetes/debugging.yaml.") from error
        converse(program)
        return self._exit_code(container_id, name)

    def run_new(self, engine: Engine, spec: ContainerSpec, command: Sequence[str]) -> int | None:
        """Run a command in a new pod whose workload only waits, at this process's terminal if it has one; remove it.

        Args:
            engine: Makes the pod.
            spec: What the workload is made of.
            command: The command, which begins with a shell, and its arguments.

        Returns:
            The command's exit code; None if the image has no shell.
        """
        state = engine.create(replace(spec, entrypoint=[SHELL, "-c", _WAIT], command=None, terminal=True))
        try:
            engine.start(state.id)
            while not is_running(self._pod(state.id), WORKLOAD):
                ended = engine.await_end(state.id, _LOOK_S)
                if ended is not None and ended.exit_code == NO_COMMAND and _is_missing(ended.error):
                    return None
                if ended is not None:
                    raise EngineError(f"The new pod {state.id} did not start: {ended.error or ended.status}.")
            return self._converse(state.id, WORKLOAD, command)
        finally:
            engine.remove(state.id)

    def commit(self, container_id: str) -> None:
        """Return nothing: a cluster keeps an ended container's description, and none of its files."""

    def remove_image(self, image_id: str) -> None:
        """Do nothing: :meth:`commit` made none."""

    def _converse(self, pod: str, container: str, command: Sequence[str]) -> int:
        return converse(self._begin(pod, container, command))

    def _begin(self, pod: str, container: str, command: Sequence[str], *, first: bytes = b"") -> Execution:
        at_terminal = is_terminal()
        program = Execution(
            self._cluster,
            pod,
            container,
            command,
            stdin=at_terminal or bool(first),
            silence_s=None,
            terminal=at_terminal,
        )
        if first:
            program.send(first)
        return program

    def _require_started(self, name: str) -> Pod:
        pod = self._pod(name)
        if not is_running(pod, WORKLOAD):
            raise EngineError(
                f"The workload of pod {name} does not run (yet): nothing can be started in it. Try again."
            )
        return pod

    def _await_toolbox(self, pod: str, name: str) -> None:
        deadline = time.monotonic() + _START_S
        while not is_running(self._pod(pod), name):
            if trouble := self._toolbox_trouble(pod, name):
                raise EngineError(
                    f"The toolbox does not start in pod {pod}: {trouble}. It runs as the `user` of the step, and needs "
                    f"{SHELL}. Another one can be started beside it."
                )
            if time.monotonic() > deadline:
                raise EngineError(f"The toolbox did not start in pod {pod} within {_START_S:.0f} s.")
            time.sleep(_LOOK_S)

    def _toolbox_trouble(self, pod: str, name: str) -> str:
        """Return why a toolbox does not start, which only events say; empty if nothing is known."""
        terms = {
            "involvedObject.name": pod,
            "involvedObject.fieldPath": f"spec.ephemeralContainers{{{name}}}",
            "type": "Warning",
        }
        query = {"fieldSelector": ",".join(f"{key}={value}" for key, value in terms.items())}
        found = self._cluster.request(
            "GET", self._cluster.path("events"), doing=f"list the events of pod {pod}", query=query
        )
        # The first tells more than those that follow from it.
        return next((sentence(it["message"]) for it in found["items"]), "")

    def _exit_code(self, pod: str, name: str) -> int:
        deadline = time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline:
            if end := terminated(self._pod(pod), name):
                return int(end["exitCode"])
            time.sleep(_LOOK_S)
        raise EngineError(f"The end of container {name} in pod {pod} was not reported within {_ANSWER_S:.0f} s.")

    def _pod(self, name: str) -> Pod:
        return self._cluster.request("GET", self._cluster.path("pods", name), doing=f"look at pod {name}")


def _toolbox(name: str, pod: Pod, image: str, command: Sequence[str], settings: KubernetesSettings) -> dict[str, Any]:
    """Return an ephemeral container that sees the workload's processes, network and volumes."""
    workload = container_part(pod, WORKLOAD)
    # Its root is the image's own, and whoever is not its user may not look into the workload.
    security = {key: value for key, value in workload["securityContext"].items() if key != "readOnlyRootFilesystem"}
    if not settings.restricted:
        security["capabilities"] = {"add": ["SYS_PTRACE"]}
    return {
        "name": name,
        "image": image,
        "command": [SHELL, "-c", _WAIT_FIRST.replace("$", "$$"), SHELL, *(word.replace("$", "$$") for word in command)],
        "targetContainerName": WORKLOAD,
        "stdin": True,
        "tty": is_terminal(),
        "securityContext": security,
        # A cluster mounts no single files there; the context's is in /proc/1/root.
        "volumeMounts": [mount for mount in workload.get("volumeMounts") or () if "subPath" not in mount],
    }


def _is_missing(said: str) -> bool:
    return "no such file" in said.lower()
