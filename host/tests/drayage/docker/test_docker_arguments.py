"""What docker-py is told to create."""

import pytest

from drayage.docker.arguments import create_arguments
from drayage.engine import ContainerSpec


@pytest.mark.parametrize("size_bytes", [1, 1001, 2**20])
def test_the_engines_log_keeps_as_much_as_was_asked_for_when_its_oldest_file_has_just_been_dropped(
    size_bytes: int,
) -> None:
    log = create_arguments(ContainerSpec("image", log_bytes=size_bytes), str)["log_config"]
    kept_bytes = int(log.config["max-size"]) * (int(log.config["max-file"]) - 1)
    assert size_bytes <= kept_bytes < size_bytes + 2
    assert log.type == "json-file"


def test_a_memory_limit_of_the_steps_own_is_not_held_against_the_settings_swap() -> None:
    """The engine refuses a limit on memory that is above the one on memory and swap."""
    spec = ContainerSpec("image", memory_bytes=2**26)
    assert create_arguments(spec, str)["memswap_limit"] == 2**26
    own = create_arguments(ContainerSpec("image", memory_bytes=2**26, options={"mem_limit": "1g"}), str)
    assert own["mem_limit"] == "1g"
    assert "memswap_limit" not in own


def test_what_an_image_has_in_the_place_of_the_secrets_is_not_copied_among_them() -> None:
    (mount,) = create_arguments(ContainerSpec("image", secrets={"key": b"hush"}), str)["mounts"]
    assert mount["VolumeOptions"]["NoCopy"] is True
    assert not mount.get("Source"), "a volume without a name goes with its container"
