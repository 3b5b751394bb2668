"""What docker-py is told to create."""

from typing import Any

import pytest

from drayage.docker.arguments import create_arguments
from drayage.engine import ContainerSpec
from drayage.errors import SettingsError


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


def test_the_volume_of_secrets_joins_those_of_the_steps_own_options() -> None:
    spec = ContainerSpec("image", options={"volumes_from": ["other"]})
    assert create_arguments(spec, str, volumes_from=["held:ro"])["volumes_from"] == ["held:ro", "other"]
    assert create_arguments(ContainerSpec("image"), str)["volumes_from"] is None


@pytest.mark.parametrize(
    ("secrets", "options"),
    [
        ({}, {"auto_remove": True}),
        ({"key": b"hush"}, {"restart_policy": {"Name": "on-failure", "MaximumRetryCount": 3}}),
    ],
)
def test_what_cannot_be_judged_or_would_lose_its_secrets_is_refused(
    secrets: dict[str, bytes], options: dict[str, Any]
) -> None:
    with pytest.raises(SettingsError, match="container_kwargs"):
        create_arguments(ContainerSpec("image", secrets=secrets, options=options), str)


def test_a_restart_policy_without_secrets_and_secrets_without_one_are_fine() -> None:
    create_arguments(ContainerSpec("image", options={"restart_policy": {"Name": "always"}}), str)
    create_arguments(ContainerSpec("image", secrets={"a": b"b"}, options={"restart_policy": {"Name": "no"}}), str)
