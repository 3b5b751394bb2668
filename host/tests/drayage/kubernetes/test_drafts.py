"""A container that was created is only remembered, until it is started."""

from drayage.engine import ContainerSpec
from drayage.kubernetes import KubernetesEngine, KubernetesSettings


def test_its_image_is_what_the_name_was_resolved_to() -> None:
    """A container on standby is compared by it with what the step asks for."""
    engine = KubernetesEngine(KubernetesSettings(namespace="jobs"))
    for name in ("drayage/generator", f"registry.example/drayage/generator@sha256:{'a' * 64}"):
        image_id = engine.resolve(name, pull="missing")
        labels = {"drayage/exchange": name}
        assert engine.create(ContainerSpec(image_id, labels=labels)).image_id == image_id
