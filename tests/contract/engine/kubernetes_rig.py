"""A cluster as an engine under test, and what of the engine contract cannot hold on one."""

import contextlib
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

import yaml
from kubernetes.stream import stream
from kubernetes_namespace import Namespace
from shell_scripts import Script

from drayage.engine import Engine
from drayage.kubernetes import KubernetesEngine, KubernetesSettings
from drayage.kubernetes.names import pod_labels

_LABEL = "drayage-engine-contract"
_NO_STREAMS = "a node keeps standard output and standard error as one, and ends a last line that has no end"
_LATE = "a cluster says only after the start that a container cannot be started: it is the step's failure then"
_NO_INIT = "no init of the engine stands before the workload: it is process 1, or `shareProcessNamespace` is set"
_NO_NETWORKS = "a pod has the cluster's network; networks are refused by name, and a NetworkPolicy takes their place"
_NOTHING_ASKED = "it asks nothing of the cluster, so that it cannot find out that it does not answer"
_NODES_PULL = "images are pulled by nodes, as a pod needs them, with the credentials of the namespace"

CANNOT: Mapping[str, str] = {
    "test_a_missing_image_is_named": _LATE,
    "test_a_missing_network_is_an_error": _NO_NETWORKS,
    "test_a_container_that_cannot_join_its_second_network_is_not_left_behind": _NO_NETWORKS,
    "test_a_container_without_a_network_has_only_loopback": _NO_NETWORKS,
    "test_a_container_joins_all_its_networks": _NO_NETWORKS,
    "test_a_bind_mount_shows_the_hosts_files_and_is_writable_only_if_asked": (
        "a node has no path of the host's machine; such mounts are refused by name"
    ),
    "test_the_engines_own_arguments_win": "container_kwargs are Docker's; they are refused by name",
    "test_each_restriction_holds_by_itself": _NO_INIT,
    "test_a_signal_that_the_program_does_not_handle_ends_it_with_128_plus_its_number[SIGTERM-15]": _NO_INIT,
    "test_under_an_init_a_missing_command_ends_with_127": _NO_INIT,
    "test_a_missing_command_is_an_entrypoint_error": _LATE,
    "test_a_container_that_cannot_be_started_leaves_nothing_but_itself": _LATE,
    "test_every_byte_arrives_on_the_stream_it_was_written_to": _NO_STREAMS,
    "test_much_output_right_before_the_end_is_complete": _NO_STREAMS,
    "test_the_output_of_an_ended_container_can_be_replayed_repeatedly": _NO_STREAMS,
    "test_a_replay_opened_just_before_the_end_is_complete": _NO_STREAMS,
    "test_the_secrets_are_there_from_the_start_to_the_end": _NO_STREAMS,
    "test_output_arrives_as_it_is_written_not_line_by_line": "a node keeps whole lines",
    "test_a_log_that_is_bounded_says_what_it_may_have_dropped": "the node's kubelet decides how long a log may be",
    "test_an_image_on_the_engine_is_used_without_asking_its_registry": _NODES_PULL,
    "test_an_image_is_pulled_only_if_the_policy_allows_it": _NODES_PULL,
    "test_always_takes_what_the_registry_has_now": _NODES_PULL,
    "test_an_image_that_no_registry_has_is_reported_as_missing": _NODES_PULL,
    "test_a_private_image_is_pulled_only_after_a_login": _NODES_PULL,
    "test_an_engine_that_does_not_answer_is_unavailable[resolve]": _NOTHING_ASKED,
    "test_an_engine_that_does_not_answer_is_unavailable[login]": _NODES_PULL,
    "test_an_engine_that_does_not_answer_is_unavailable[create]": _NOTHING_ASKED,
    "test_an_engine_that_does_not_answer_is_unavailable[start]": "only what this process created can be started",
}
"""The tests of the engine contract that cannot hold, and why; ``tests/kubernetes`` has what holds in their place."""


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
        raise NotImplementedError(f"{size_bytes}: {CANNOT['test_the_engines_own_arguments_win']}")

    def knows_out_of_memory(self, container_id: str) -> bool:
        pod = self._namespace.admin.read_namespaced_pod(container_id, self._namespace.name)
        workload = next(it for it in pod.status.container_statuses if it.name == "workload")
        return bool(workload.state.terminated.reason == "OOMKilled")

    def create_network(self) -> NoReturn:
        raise NotImplementedError(_NO_NETWORKS)

    def registry(self) -> NoReturn:
        raise NotImplementedError(_NODES_PULL)

    def unreachable(self) -> Engine:
        broken = yaml.safe_load(self._namespace.kubeconfig.read_text(encoding="utf-8"))
        broken["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
        file = Path(self._namespace.kubeconfig).with_name("unreachable")
        file.write_text(yaml.safe_dump(broken), encoding="utf-8")
        self._stack.enter_context(patch.dict(os.environ, {"KUBECONFIG": str(file)}))
        return KubernetesEngine(self._settings)

    def close(self) -> None:
        self._stack.close()
        self._namespace.remove(pod_labels(self.labels))
