"""Implements the container engine with the pods of a Kubernetes cluster.

``create`` only checks and remembers: a pod runs as soon as it is made, so that ``start`` makes it.
"""

import logging
import re
import signal as signals
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Literal

from drayage.engine import (
    ContainerSpec,
    ContainerState,
    Found,
    Mailbox,
    OptionFacts,
    Output,
    Usage,
    gone,
)
from drayage.errors import ContainerGoneError, EngineError, ImageNotPulledError, SettingsError
from drayage.identity import DEPLOYMENT, EXCHANGE
from drayage.kubernetes import images
from drayage.kubernetes.api import Cluster, ConflictError
from drayage.kubernetes.delivery import deliver
from drayage.kubernetes.drafts import Draft
from drayage.kubernetes.endings import Endings
from drayage.kubernetes.execution import FailedError, run
from drayage.kubernetes.mailbox import KubernetesMailbox
from drayage.kubernetes.names import HOST, carries, match, pod_name, selector
from drayage.kubernetes.output import PodOutput, end_of_log
from drayage.kubernetes.pods import TOOL, WORKLOAD, Post, build_pod, require_possible
from drayage.kubernetes.removal import delete_pod, remove_pod
from drayage.kubernetes.settings import KubernetesSettings
from drayage.kubernetes.states import (
    Pod,
    awaited,
    has_ended,
    has_waiting_workload,
    is_running,
    read_found,
    read_state,
    status_of,
)
from drayage.kubernetes.takeover import holder, take_over
from drayage.kubernetes.usage import read_usage
from drayage.kubernetes.watch import PodWatch
from drayage.mailbox import CONTEXT_FILE

_PULL = {"missing": "IfNotPresent", "always": "Always", "never": "Never"}
_KILL = "SIGKILL"
_ID = re.compile(r"(sha256:)?[0-9a-f]{64}")
_MEASURE_S = 10.0

_log = logging.getLogger(__name__)


class KubernetesEngine:
    """The cluster that the kubeconfig names, or that this process runs in.

    Args:
        settings: The deployment's settings; None takes the environment's.
    """

    has_networks = False
    has_streams = False

    def __init__(self, settings: KubernetesSettings | None = None) -> None:
        self._settings = settings or KubernetesSettings.load()
        self._cluster = Cluster(namespace=self._settings.namespace, context=self._settings.context)
        self._host = uuid.uuid4().hex
        self._watch = PodWatch(self._cluster, {"labelSelector": f"{HOST}={self._host}"})
        self._stopped: set[str] = set()
        self._endings = Endings(self._cluster, self._settings, self._stopped.__contains__)
        self._lock = Lock()
        self._drafts: dict[str, Draft] = {}
        self._mailboxes: dict[tuple[str, str], KubernetesMailbox] = {}
        self._pull: dict[str, str] = {}

    def resolve(self, image: str, *, pull: Literal["missing", "always", "never"]) -> str:
        """Return the image's name: only its node finds out what it stands for, and pulls it when the pod is made.

        Name images by digest (``registry/name@sha256:…``) to have one content on all nodes and in all retries.
        """
        if _ID.fullmatch(image):
            raise ImageNotPulledError(
                f"Image {image[:19]} cannot be had in a cluster by its id alone: name it as its registry does."
            )
        self._pull[image] = _PULL[pull]
        return image

    def login(self, *, url: str, username: str, password: str) -> None:  # noqa: ARG002 - the seam's signature
        """Refuse: nodes pull images, not this process."""
        raise SettingsError(
            f"registry: the nodes of a cluster log in to {url} by a secret of the namespace. Make it with `kubectl "
            "create secret docker-registry`, and name it in the settings' `image_pull_secrets`. Nothing was started."
        )

    def create(self, spec: ContainerSpec) -> ContainerState:
        """Check that a pod can be made of a specification, and remember it; nothing is asked of the cluster."""
        require_possible(spec, self._settings)
        name = pod_name(spec.labels, spec.name)
        pull = self._pull.get(spec.image)
        state = read_state(self._pod_of(name, spec, Post(), pull))
        draft = Draft(spec, pull, replace(state, status="created"), time.time())
        with self._lock:
            if name in self._drafts or self._watch.get(name) is not None:
                raise EngineError(f"A pod of the name {name!r} exists already: choose another name, or remove it.")
            self._drafts[name] = draft
        return draft.state

    def start(self, container_id: str) -> None:
        """Make the pod, and begin to bring its secrets and its context in and its messages out."""
        draft = self._drafts.get(container_id)
        if draft is None:
            raise ContainerGoneError(f"Container {container_id} cannot be started: this process did not create it.")
        spec, mailbox = draft.spec, self._mailboxes.get(_key(draft.spec.labels))
        post = mailbox.post() if mailbox else Post()
        self._watch.start()
        self._watch.note(self._make(self._pod_of(container_id, spec, post, draft.pull_policy)))
        with self._lock:
            self._drafts.pop(container_id, None)
        if post.is_carried(spec):
            context = None if post.waits else post.context
            carry = partial(self._deliver, self._watch, container_id, spec.secrets, context)
            Thread(target=carry, name="drayage-delivery", daemon=True).start()
        if mailbox is not None:
            mailbox.attach(container_id)

    def finish_start(self, container_id: str, *, secrets: Mapping[str, bytes], context: bytes | None) -> bool:
        """Bring a pod the secrets and the context that its creator may not have brought; return whether it is there."""
        pod = self._get(container_id)
        if pod is None:
            return False
        if status_of(pod) == "created":
            carried = context if awaited(pod) == CONTEXT_FILE else None

            def carry() -> None:
                with self._watching(container_id) as watch:
                    self._deliver(watch, container_id, secrets, carried)

            Thread(target=carry, name="drayage-delivery", daemon=True).start()
        return True

    def follow(self, container_id: str, cursor: str | None = None) -> Output:
        """Follow a container's output, from a position on or from now on."""
        is_new = container_id in self._drafts
        if not is_new and self._known(container_id) is None:
            raise ContainerGoneError(f"Pod {container_id} cannot be followed: it is gone, or never existed.")
        if cursor is None and not is_new:
            cursor, is_new = end_of_log(self._cluster, container_id), True
        watch = self._watch if is_new or self._watch.knows(container_id) else self._temporary_watch(container_id)
        return PodOutput(self._cluster, watch, container_id, cursor or "", is_new=is_new)

    def await_end(self, container_id: str, timeout_s: float) -> ContainerState | None:
        """Return a container's last state once it has ended, is gone or cannot start; None if not within the time."""
        if container_id in self._drafts:
            return self._endings.await_end(self._watch, container_id, timeout_s)
        with self._watching(container_id) as watch:
            return self._endings.await_end(watch, container_id, timeout_s)

    def state(self, container_id: str) -> ContainerState:
        """Return a container's current state; of one that the cluster does not know, with the status ``gone``."""
        if draft := self._drafts.get(container_id):
            return draft.state
        pod = self._known(container_id)
        return gone(container_id) if pod is None else self._endings.state(pod)

    def usage(self, container_id: str) -> Usage | None:
        """Return a container's resource usage; None if it does not run, or the settings do not have ``usage``."""
        if container_id in self._drafts:
            return None
        pod = self._known(container_id)
        if pod is None:
            raise ContainerGoneError(f"Pod {container_id} cannot be measured: it is gone, or never existed.")
        if not self._settings.usage or not is_running(pod, WORKLOAD):
            return None
        try:
            said = run(self._cluster, container_id, WORKLOAD, [TOOL, "usage"], silence_s=_MEASURE_S)
        except FailedError as error:
            _log.debug("pod %s is not measured: %s", container_id, error)
            return None
        return read_usage(said)

    def stop(self, container_id: str, signal: str, grace_s: float) -> None:
        """Let the cluster send the image's own stop signal, and kill the container if it still runs after a time.

        A cluster sends no other signal: one that is asked for stands for that one, and SIGKILL for the shortest grace.
        """
        if signal not in signals.Signals.__members__:
            raise EngineError(f"Pod {container_id} cannot be stopped: expected the name of a signal, got {signal!r}.")
        if container_id in self._drafts:
            return
        pod = self._known(container_id)
        if pod is None or has_ended(pod):
            return
        self._stopped.add(container_id)
        if signal == _KILL:
            delete_pod(self._cluster, container_id, 0)
            return
        delete_pod(self._cluster, container_id, grace_s)
        self.await_end(container_id, grace_s)

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not, and its secrets; do nothing if it is gone."""
        with self._lock:
            draft = self._drafts.pop(container_id, None)
        if draft is not None:
            self._watch.forget(container_id)
            return
        with self._watching(container_id) as watch:
            self._stopped.add(container_id)
            remove_pod(self._cluster, watch, container_id)
        self._stopped.discard(container_id)

    def find(self, owner: Mapping[str, str]) -> Sequence[Found]:
        """Return the containers, running or not, that carry all these labels; an empty value matches any value."""
        found = self._list(owner)
        with self._lock:
            drafts = [draft.found() for draft in self._drafts.values() if match(draft.spec.labels, owner)]
        return [*map(read_found, found), *drafts]

    def mailbox(
        self, folder: Path, *, labels: Mapping[str, str], waits: bool = False, receives: bool = True
    ) -> Mailbox:
        """Open the mailbox of one attempt; what a former process left is taken over, by one process alone."""
        key = _key(labels)
        mailbox = KubernetesMailbox(
            folder,
            cluster=self._cluster,
            watch=self._watch,
            receives=receives,
            waits=waits,
            on_collect=lambda: self._forget(key),
        )
        if mailbox.is_continued and (found := self._list(labels)):
            pod = take_over(self._cluster, found[0], self._host)
            self._watch.start()
            self._watch.note(pod)
            mailbox.attach(pod["metadata"]["name"], waits=has_waiting_workload(pod))
        self._mailboxes[key] = mailbox
        return mailbox

    def explain(self, options: Mapping[str, Any]) -> OptionFacts:
        """Say that Docker's keyword arguments mean nothing here; :meth:`create` refuses them by name."""
        return OptionFacts((), dict(options), dict(options), dict(options), dict(options))

    def read_file(self, image: str, path: str) -> bytes:
        """Read one file out of an image without running anything of it: in a pod that runs the relay."""
        return images.read_file(self._cluster, self._settings, image, path)

    def _forget(self, key: tuple[str, str]) -> None:
        self._mailboxes.pop(key, None)

    def _pod_of(self, name: str, spec: ContainerSpec, post: Post, pull_policy: str | None) -> dict[str, Any]:
        return build_pod(name, spec, self._settings, post, host=self._host, pull_policy=pull_policy)

    def _make(self, pod: Mapping[str, Any]) -> Pod:
        name = pod["metadata"]["name"]
        path = self._cluster.path("pods")
        try:
            return self._cluster.request("POST", path, pod, doing=f"make pod {name}")
        except ConflictError:
            # An answer may have been lost: then it is ours.
            made = self._get(name)
            if made is None or holder(made) != self._host:
                raise
            return made

    def _deliver(self, watch: PodWatch, name: str, secrets: Mapping[str, bytes], context: bytes | None) -> None:
        try:
            deliver(self._cluster, watch, name, secrets=secrets, context=context)
        except EngineError as error:
            _log.info("%s", error)
            pod = watch.get(name)
            if pod is None or status_of(pod) != "created":
                # It had them already, from a former process.
                return
            with suppress(EngineError):
                self._endings.give_up(watch, name, f"its secrets or its context did not reach it: {error}")

    def _list(self, owner: Mapping[str, str]) -> list[Pod]:
        path = self._cluster.path("pods")
        found = self._cluster.request("GET", path, doing="list pods", query={"labelSelector": selector(owner)})
        return [pod for pod in found["items"] if carries(pod, owner)]

    def _known(self, name: str) -> Pod | None:
        """Return a pod: without a request if this process follows it."""
        return self._watch.get(name) if self._watch.knows(name) else self._get(name)

    def _get(self, name: str) -> Pod | None:
        try:
            return self._cluster.request("GET", self._cluster.path("pods", name), doing=f"look at pod {name}")
        except ContainerGoneError:
            return None

    @contextmanager
    def _watching(self, name: str) -> Iterator[PodWatch]:
        """Yield a watch that knows a pod, or that it is gone."""
        if self._watch.knows(name):
            yield self._watch
            return
        watch = self._temporary_watch(name)
        try:
            yield watch
        finally:
            watch.close()

    def _temporary_watch(self, name: str) -> PodWatch:
        watch = PodWatch(self._cluster, {"fieldSelector": f"metadata.name={name}"})
        pod = self._get(name)
        if pod is None:
            watch.forget(name)
        else:
            watch.note(pod)
            watch.start()
        return watch


def _key(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels.get(DEPLOYMENT, ""), labels.get(EXCHANGE, "")
