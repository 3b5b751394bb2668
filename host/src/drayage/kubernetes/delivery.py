"""Brings into a pod what must not be part of its description: secrets, and a context that is too long for one."""

import time
from collections.abc import Mapping

from drayage.errors import EngineError, EngineUnavailableError
from drayage.kubernetes.api import Cluster
from drayage.kubernetes.execution import run
from drayage.kubernetes.messages import ANSWER_S, RELAY_PROGRAM, wait_for_relay
from drayage.kubernetes.pods import READY, RELAY
from drayage.kubernetes.watch import PodWatch
from drayage.mailbox import CONTEXT_FILE, WORKLOAD_FOLDER
from drayage.secrets import SECRETS_DIRECTORY

_START_S = 3600.0
_TRIES = 3
_PAUSE_S = 0.5


def deliver(
    cluster: Cluster, watch: PodWatch, pod: str, *, secrets: Mapping[str, bytes], context: bytes | None
) -> None:
    """Put secrets and the context into a pod as soon as its relay runs; the last of them lets the workload start.

    Args:
        cluster: The cluster.
        watch: Knows the pod.
        pod: Name of the pod.
        secrets: Contents of the secrets, by name.
        context: The context; None if there is none, or it comes another way.

    Raises:
        EngineError: The cluster refuses or does not answer.
    """
    if not wait_for_relay(watch, pod, _START_S):
        # Whoever waits for the pod's end learns why.
        return
    for name, content in secrets.items():
        _put(cluster, pod, SECRETS_DIRECTORY, name, content)
    _put(cluster, pod, WORKLOAD_FOLDER, READY if context is None else CONTEXT_FILE, context or b"")


def _put(cluster: Cluster, pod: str, folder: str, name: str, content: bytes) -> None:
    command = [RELAY_PROGRAM, "put", name, "--size", str(len(content)), "--dir", folder]
    for left in reversed(range(_TRIES)):
        try:
            run(cluster, pod, RELAY, command, content, silence_s=ANSWER_S)
        except EngineUnavailableError:
            # A file has its name only when it is whole, so that it can be sent again.
            if not left:
                raise
            time.sleep(_PAUSE_S)
        except EngineError as error:
            raise EngineError(f"{name} was not taken by the relay of pod {pod}: {error}") from error
        else:
            return
