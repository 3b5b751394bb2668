"""Reads files of images: the cluster's nodes have the images, and this machine may have none of them."""

import contextlib
import time
import uuid
from collections.abc import Iterator
from typing import Any

from drayage.engine import ContainerSpec
from drayage.errors import ContainerGoneError, EngineError, ImageMissingError
from drayage.kubernetes.api import Cluster
from drayage.kubernetes.execution import FailedError, run
from drayage.kubernetes.names import ROLE
from drayage.kubernetes.pods import TOOL, WORKLOAD, Post, build_pod
from drayage.kubernetes.settings import KubernetesSettings
from drayage.kubernetes.states import Pod, is_running, terminated
from drayage.kubernetes.troubles import starting_trouble
from drayage.kubernetes.watch import PodWatch

_START_S = 120.0
_STAY_S = 300
_SILENCE_S = 60.0


def read_file(cluster: Cluster, settings: KubernetesSettings, image: str, path: str) -> bytes:
    """Read one file out of an image.

    Args:
        cluster: The cluster.
        settings: The deployment's settings.
        image: Name of the image.
        path: Absolute path of a regular file.

    Raises:
        EngineError: The cluster refuses, has no such image, or the image no such file.
    """
    with opened(cluster, settings, image) as pod:
        return _cat(cluster, pod["metadata"]["name"], image, path)


@contextlib.contextmanager
def opened(cluster: Cluster, settings: KubernetesSettings, image: str) -> Iterator[Pod]:
    """Yield a running pod of an image that runs the relay and nothing of the image; remove it afterwards.

    Args:
        cluster: The cluster.
        settings: The deployment's settings.
        image: Name of the image.

    Raises:
        EngineError: The cluster refuses, or has no such image.
    """
    name = f"drayage-file-{uuid.uuid4().hex[:12]}"
    spec = ContainerSpec(
        image, entrypoint=[TOOL], command=["stay", "--dir", "/", "--linger", f"{_STAY_S}s"], read_only_root=True
    )
    # With the tool in the container, and without secrets, volumes and rights that the image does not need.
    plain = settings.model_copy(update={"usage": True, "volumes": (), "limits": {}, "requests": {}})
    pod = build_pod(name, spec, plain, Post(), host="", pull_policy=None)
    _make_small(pod)
    cluster.request("POST", cluster.path("pods"), pod, doing=f"make a pod of image {image!r}")
    watch = PodWatch(cluster, {"fieldSelector": f"metadata.name={name}"})
    try:
        watch.note(pod)
        watch.start()
        _await_start(watch, name, image)
        yield watch.get(name) or pod
    finally:
        watch.close()
        with contextlib.suppress(ContainerGoneError):
            cluster.request("DELETE", cluster.path("pods", name), {"gracePeriodSeconds": 1}, doing=f"delete pod {name}")


def _make_small(pod: dict[str, Any]) -> None:
    """Make a pod that no one needs to find: it ends by itself."""
    pod["metadata"] = {"name": pod["metadata"]["name"], "labels": {ROLE: "file"}}
    pod["spec"]["activeDeadlineSeconds"] = _STAY_S
    pod["spec"]["terminationGracePeriodSeconds"] = 1
    workload = next(it for it in pod["spec"]["containers"] if it["name"] == WORKLOAD)
    # The relay needs no user of the image, which may be root.
    workload["securityContext"] |= {"runAsUser": 65532, "runAsGroup": 65532}
    workload["resources"] = {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}


def _await_start(watch: PodWatch, name: str, image: str) -> None:
    def answer(pod: Pod | None) -> str | bool | None:
        if pod is None:
            return "somebody deleted the pod"
        if is_running(pod, WORKLOAD):
            return True
        if end := terminated(pod, WORKLOAD):
            return f"the pod ended ({end.get('message') or end.get('reason')})"
        trouble = starting_trouble(pod)
        return trouble.text if trouble is not None and not trouble.may_pass else None

    begun_at = time.monotonic()
    found = watch.wait(name, answer, _START_S)
    if found is None:
        raise EngineError(f"A pod of image {image!r} did not start within {time.monotonic() - begun_at:.0f} s.")
    if isinstance(found, str):
        raise ImageMissingError(
            f"Image {image!r} cannot be read: {found}. Check its name, and that the nodes can pull it."
        )


def _cat(cluster: Cluster, name: str, image: str, path: str) -> bytes:
    try:
        return run(cluster, name, WORKLOAD, [TOOL, "cat", path], silence_s=_SILENCE_S)
    except FailedError as error:
        raise EngineError(f"Image {image!r} has no regular file {path}: {error}.") from error
