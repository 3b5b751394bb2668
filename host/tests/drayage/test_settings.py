"""Settings are validated before anything starts, and override each other in order."""

from pathlib import Path

import pytest

from drayage import SettingsError, StepSettings
from drayage.settings import ClientSettings, tag_overrides


@pytest.mark.parametrize(
    ("size", "size_bytes"), [("512m", 2**29), ("2g", 2**31), ("2GiB", 2**31), ("1.5G", 3 * 2**29), (2**26, 2**26)]
)
def test_sizes_are_read_as_people_write_them(size: str | int, size_bytes: int) -> None:
    assert StepSettings(memory=size).memory == size_bytes  # type: ignore[arg-type]  # parsed by pydantic


def test_all_that_is_malformed_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        StepSettings().overridden({"memory": "lots", "cpus": 0, "timeout": 5}, source="the call")
    assert all(name in str(caught.value) for name in ("the call", "memory", "cpus", "timeout", "Nothing was started"))


def test_later_layers_win_and_leave_the_rest() -> None:
    settings = StepSettings(cpus=2, memory="1g", timeout_s=60)  # type: ignore[arg-type]  # parsed by pydantic
    settings = settings.overridden({"cpus": 3}, source="call").overridden({"timeout_s": "5"}, source="tags")
    assert (settings.cpus, settings.memory, settings.timeout_s) == (3, 2**30, 5)


def test_a_cancel_takes_less_than_five_seconds_by_default() -> None:
    assert StepSettings().stop_grace_s < 5


def test_known_tags_become_settings_and_misspelt_ones_are_refused() -> None:
    assert tag_overrides({"drayage/memory": "2g", "team": "a"}) == {"memory": "2g"}
    with pytest.raises(SettingsError, match="unknown tag drayage/memroy"):
        tag_overrides({"drayage/memroy": "2g"})


def test_the_client_prefers_arguments_to_environment_to_defaults(tmp_path: Path) -> None:
    env = {"DRAYAGE_EXCHANGE_ROOT": "/env", "DRAYAGE_DEPLOYMENT": "env", "DAGSTER_HOME": "/home"}
    assert ClientSettings.load(environment=env).exchange_root == Path("/env")
    assert ClientSettings.load(environment=env, exchange_root=tmp_path, deployment="mine").deployment == "mine"
    assert ClientSettings.load(environment={"DAGSTER_HOME": "/home"}).exchange_root == Path("/home/drayage")
    assert ClientSettings.load(environment={}).deployment == "drayage"
