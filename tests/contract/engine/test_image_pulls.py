"""Images are found, pulled according to the policy, and read without being run; missing ones are named."""

import pytest
from engine_bench import Bench
from engine_rigs import IMAGE

from drayage.errors import EngineError, ImageMissingError

FILE = "/content"
PASSWORD = "hush-hush"  # noqa: S105 - made up


@pytest.mark.parametrize("pull", ["never", "missing"])
def test_an_image_on_the_engine_is_used_without_asking_its_registry(bench: Bench, pull: str) -> None:
    registry = bench.rig.registry()
    image = registry.publish("contract/kept", {FILE: b"kept"})
    first = bench.engine.resolve(image, pull="missing")
    registry.publish("contract/kept", {FILE: b"newer"})
    assert bench.engine.resolve(image, pull=pull) == first  # type: ignore[arg-type]  # one of the policies
    assert bench.engine.read_file(image, FILE) == b"kept"


def test_an_image_is_pulled_only_if_the_policy_allows_it(bench: Bench) -> None:
    image = bench.rig.registry().publish("contract/new", {FILE: b"new"})
    with pytest.raises(ImageMissingError, match="contract/new"):
        bench.engine.resolve(image, pull="never")
    pulled = bench.engine.resolve(image, pull="missing")
    assert bench.engine.resolve(image, pull="never") == pulled
    assert bench.engine.read_file(pulled, FILE) == b"new", "an image can be named by its id"


def test_always_takes_what_the_registry_has_now(bench: Bench) -> None:
    registry = bench.rig.registry()
    image = registry.publish("contract/moved", {FILE: b"old"})
    old = bench.engine.resolve(image, pull="always")
    registry.publish("contract/moved", {FILE: b"new"})
    new = bench.engine.resolve(image, pull="always")
    assert new != old
    assert bench.engine.resolve(image, pull="never") == new
    assert bench.engine.read_file(image, FILE) == b"new"


@pytest.mark.parametrize("pull", ["missing", "always"])
def test_an_image_that_no_registry_has_is_reported_as_missing(bench: Bench, pull: str) -> None:
    with pytest.raises(ImageMissingError, match="contract/none"):
        bench.engine.resolve(f"{bench.rig.registry().url}/contract/none", pull=pull)  # type: ignore[arg-type]


def test_a_private_image_is_pulled_only_after_a_login(bench: Bench) -> None:
    registry = bench.rig.registry()
    image = registry.publish("contract/private", {FILE: b"private"})
    registry.require_login("somebody", PASSWORD)
    with pytest.raises(ImageMissingError):
        bench.engine.resolve(image, pull="missing")
    with pytest.raises(EngineError):
        bench.engine.login(url=registry.url, username="somebody", password=PASSWORD[1:])
    with pytest.raises(ImageMissingError):
        bench.engine.resolve(image, pull="missing")
    bench.engine.login(url=registry.url, username="somebody", password=PASSWORD)
    assert bench.engine.resolve(image, pull="missing") == bench.engine.resolve(image, pull="never")


def test_a_file_is_read_from_an_image(bench: Bench) -> None:
    assert bench.engine.read_file(IMAGE, "/etc/debian_version").startswith(b"13")


@pytest.mark.parametrize("path", ["/etc/no-such-file", "/no-such-folder/file", "/etc"])
def test_a_path_without_a_regular_file_is_an_error_that_names_it_and_the_image(bench: Bench, path: str) -> None:
    with pytest.raises(EngineError) as raised:
        bench.engine.read_file(IMAGE, path)
    assert path in str(raised.value)
    assert IMAGE in str(raised.value)


def test_reading_from_a_missing_image_names_the_image(bench: Bench) -> None:
    with pytest.raises(ImageMissingError, match="contract-no-such-image"):
        bench.engine.read_file("contract-no-such-image", "/etc/debian_version")
