"""A container is started only when its secrets are there as a whole."""

import io
import threading
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import docker

from drayage.docker.secrets import HeldSecrets
from drayage.engine import ContainerSpec
from drayage.identity import EXCHANGE


class ApiOfOneFile:
    """The client of an engine that shows a file as it grows."""

    def __init__(self, *sizes_bytes: int) -> None:
        self.left_bytes = list(sizes_bytes)
        self.labels: Mapping[str, str] = {}
        self.mounts: Sequence[Mapping[str, Any]] = ()
        self.removed: list[str] = []
        self.has_ended = threading.Event()

    def create_host_config(self, *, mounts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        self.mounts = mounts
        return {}

    def create_container(self, _image: str, **options: Any) -> dict[str, str]:
        self.labels = options["labels"]
        return {"Id": "holder"}

    def put_archive(self, _container_id: str, _folder: str, body: Iterable[bytes]) -> None:
        list(body)
        self.has_ended.set()

    def get_archive(self, _container_id: str, _path: str) -> tuple[io.BytesIO, dict[str, int]]:
        return io.BytesIO(), {"size": self.left_bytes.pop(0)}

    def remove_container(self, container_id: str, **_options: object) -> None:
        self.removed.append(container_id)


def test_a_secret_that_has_arrived_in_part_is_waited_for() -> None:
    api = ApiOfOneFile(0, 2, 4)
    spec = ContainerSpec("image", labels={EXCHANGE: "run/step/0", "kind": "a"}, secrets={"key": b"hush"})
    held = HeldSecrets(cast("docker.DockerClient", SimpleNamespace(api=api)), spec)
    assert held.volumes_from == "holder:ro"
    held.fill("container")
    assert api.left_bytes == []
    assert not api.has_ended.is_set(), "the volume keeps its content as long as the archive is not finished"
    held.release()
    assert api.has_ended.is_set()
    assert api.removed == ["holder"]
    assert api.labels == {"kind": "a"}, "the sweeper finds it, and takes it for no attempt's container"
    assert api.mounts[0]["VolumeOptions"]["NoCopy"] is True, "what the image has in this place is no secret"
    assert not api.mounts[0].get("Source"), "a volume without a name goes with its container"
