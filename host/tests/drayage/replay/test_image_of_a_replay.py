"""A replay runs the image that the step ran if the engine can have it, and says if it may be another."""

from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine
from fake_process import FakeImage

from drayage.errors import ImageNotPulledError
from drayage.exchange.directory import Exchange
from drayage.exchange.history import read_step
from drayage.exchange.record import ContainerRecord
from drayage.identity import Identity
from drayage.kubernetes import KubernetesEngine, KubernetesSettings
from drayage.replay.consent import shown
from drayage.replay.prepare import Overrides, PreparedReplay, prepare
from drayage.settings import StepSettings

DIGEST = f"sha256:{'ab' * 32}"


def recorded(image_id: str, **settings: Any) -> ContainerRecord:
    return ContainerRecord(
        identity=Identity("d", "run", "run", "step", 0, 0),
        fingerprint="f",
        container_id="c",
        container_name="n",
        image="image",
        image_id=image_id,
        command=("true",),
        created_at_s=1.0,
        settings=StepSettings(**settings),
    )


def prepared(tmp_path: Path, record: ContainerRecord, engine: Any, **overrides: Any) -> PreparedReplay:
    exchange = Exchange(tmp_path)
    attempt = exchange.create("run/step/1")
    record.write(attempt)
    return prepare(read_step(attempt), Overrides(**overrides), engine=engine, exchange=exchange)


def docker() -> FakeEngine:
    return FakeEngine({"image": FakeImage({}, [])})


def cluster() -> KubernetesEngine:
    return KubernetesEngine(KubernetesSettings.load({}))


def test_a_cluster_pulls_the_image_of_its_own_step_as_the_step_did(tmp_path: Path) -> None:
    """A replay may be on another node than the step."""
    engine = cluster()
    replay = prepared(tmp_path, recorded("image", pull="always"), engine)
    assert replay.request.image == "image"
    assert replay.notes == ()
    assert engine._pull == {"image": "Always"}  # noqa: SLF001 - what the node is told


def test_an_image_that_a_cluster_recorded_by_name_is_looked_up_elsewhere(tmp_path: Path) -> None:
    replay = prepared(tmp_path, recorded("image"), docker())
    assert replay.request.image == "image"
    (note,) = replay.notes
    assert note.startswith("which image image was is not recorded: it is ")


def test_a_cluster_takes_the_name_of_an_image_that_was_recorded_by_its_id(tmp_path: Path) -> None:
    replay = prepared(tmp_path, recorded(DIGEST), cluster())
    assert replay.request.image == "image"
    (note,) = replay.notes
    assert note == f"the step ran {DIGEST[:19]}, and which image image is now, its node finds out"


def test_an_image_that_is_another_now_is_named(tmp_path: Path) -> None:
    (note,) = prepared(tmp_path, recorded(DIGEST), docker()).notes
    assert note.startswith(f"image {DIGEST[:19]} is no longer here: image is now ")


def test_a_capsule_of_a_cluster_is_shown_by_its_images_name() -> None:
    assert dict(shown(recorded("image"), Overrides()))["image"] == "image"
    assert dict(shown(recorded(DIGEST), Overrides()))["image"] == f"{DIGEST}, which the capsule calls image"


def test_the_default_network_takes_the_place_of_those_that_a_cluster_does_not_have(tmp_path: Path) -> None:
    record = recorded("image", networks=("backend",))
    assert prepared(tmp_path, record, cluster(), networks=("default",)).request.settings.networks == ()
    assert prepared(tmp_path, record, cluster()).request.settings.networks == ("backend",)
    assert prepared(tmp_path, record, docker(), networks=("other",)).request.settings.networks == ("other",)


def test_an_id_alone_names_no_image_of_a_cluster() -> None:

    with pytest.raises(ImageNotPulledError, match="by its id alone"):
        cluster().resolve(DIGEST, pull="missing")
    assert cluster().resolve(f"registry/name@{DIGEST}", pull="missing") == f"registry/name@{DIGEST}"
