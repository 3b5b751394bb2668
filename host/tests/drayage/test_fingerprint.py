"""A container is adopted only if it is what the step asks for now: any part of the request that changed is noticed."""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drayage import EnvSecret, FileSecret, Mount, StepSettings
from drayage.fingerprint import fingerprint_of
from drayage.identity import Identity
from drayage.request import NOT_OF_THE_CONTAINER, StepRequest

CHANGED_SETTINGS: Mapping[str, Any] = {
    "name": "other",
    "memory": 2**30,
    "shm": 2**26,
    "cpus": 1.5,
    "networks": ("lake",),
    "mounts": (Mount("/data", "/data"),),
    "user": "1000",
    "read_only_root": True,
    "no_new_privileges": True,
    "cap_drop": ("NET_RAW",),
    "init": False,
    "labels": {"team": "lake"},
    "pull": "never",
    "timeout_s": 60.0,
    "start_timeout_s": 60.0,
    "idle_timeout_s": 60.0,
    "message_bytes": 2**20,
    "messages_bytes": 2**20,
    "output_bytes": 2**20,
    "stop_signal": "SIGINT",
    "stop_grace_s": 60.0,
    "forward_termination": False,
    "standby": True,
    "keep": "never",
    "keep_s": 60.0,
}
CHANGED_ARGUMENTS: Mapping[str, Any] = {
    "command": ["other"],
    "environment": {"A": "2"},
    "secrets": {"key": b"k", "token": b"t"},
    "secret_sources": {"key": FileSecret("/key")},
    "container_kwargs": {"devices": ["/dev/fuse"]},
    "published_ports": {1: 2},
    "adapter": "key_value",
    "extras": {"rows": 4},
    "context_injector": dg.PipesTempFileContextInjector(),
    "message_reader": dg.PipesTempFileMessageReader(),
}
# Who asks, and how the answer is judged; the image counts by its id, and the context by what it tells (below).
NEUTRAL_ARGUMENTS = {
    "identity",
    "image",
    "image_id",
    "settings",
    "context",
    "promised",
    "checks",
    "implicit_materializations",
}
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


def context_of(**told: Any) -> Any:
    """Return a context that tells what a step's context tells."""
    return SimpleNamespace(
        **{
            "has_assets_def": True,
            "selected_asset_keys": {dg.AssetKey("a")},
            "selected_asset_check_keys": set(),
            "has_partition_key": True,
            "partition_key": "2019-01",
            "has_partition_key_range": False,
            **told,
        }
    )


def request() -> StepRequest:
    return StepRequest(
        identity=Identity("d", "run", "run", "step", 0, 0),
        image="image",
        settings=StepSettings(),
        command=["work"],
        environment={"A": "1"},
        secrets={"key": b"k"},
        secret_sources={"key": EnvSecret("KEY")},
        extras={"rows": 3},
        context=context_of(),
    )


def test_every_setting_and_argument_is_tried() -> None:
    assert CHANGED_SETTINGS.keys() == StepSettings.model_fields.keys()
    assert CHANGED_ARGUMENTS.keys() | NEUTRAL_ARGUMENTS == {field.name for field in fields(StepRequest)}
    assert CHANGED_SETTINGS.keys() > NOT_OF_THE_CONTAINER


@pytest.mark.parametrize("name", CHANGED_SETTINGS)
def test_a_setting_counts_if_the_container_is_made_of_it(name: str) -> None:
    settings = StepSettings().overridden({name: CHANGED_SETTINGS[name]}, source="test")
    assert getattr(settings, name) != getattr(StepSettings(), name)
    same = replace(request(), settings=settings).fingerprint("sha256:1") == request().fingerprint("sha256:1")
    kept = {"name", "pull", "keep", "keep_s", "standby"}
    times = {"timeout_s", "start_timeout_s", "idle_timeout_s", "stop_signal", "stop_grace_s", "forward_termination"}
    sizes = {"message_bytes", "messages_bytes", "output_bytes"}
    assert same == (name in kept | times | sizes)


@pytest.mark.parametrize("name", CHANGED_ARGUMENTS)
def test_every_argument_that_makes_or_tells_the_container_counts(name: str) -> None:
    changed = replace(request(), **{name: CHANGED_ARGUMENTS[name]})
    assert changed.fingerprint("sha256:1") != request().fingerprint("sha256:1")


@pytest.mark.parametrize(
    "told",
    [
        {"partition_key": "2019-02"},
        {"has_partition_key": False},
        {"has_partition_key": False, "has_partition_key_range": True, "partition_keys": ["2019-01", "2019-02"]},
        {"selected_asset_keys": {dg.AssetKey("a"), dg.AssetKey("b")}},
        {"selected_asset_check_keys": {dg.AssetCheckKey(dg.AssetKey("a"), "whole")}},
    ],
    ids=["partition", "no partition", "range", "assets", "checks"],
)
def test_what_the_context_tells_counts(told: Mapping[str, Any]) -> None:
    changed = replace(request(), context=context_of(**told))
    assert changed.fingerprint("sha256:1") != request().fingerprint("sha256:1")


def test_the_image_counts_by_its_id_and_not_by_its_name() -> None:
    assert request().fingerprint("sha256:1") != request().fingerprint("sha256:2")
    assert replace(request(), image="other").fingerprint("sha256:1") == request().fingerprint("sha256:1")


def test_a_secrets_value_does_not_count() -> None:
    """It could be guessed from the hash, which is on disk."""
    changed = replace(request(), secrets={"key": b"another"})
    assert changed.fingerprint("sha256:1") == request().fingerprint("sha256:1")


@given(PLAIN, PLAIN)
def test_different_values_differ_and_equal_ones_are_equal(first: Any, second: Any) -> None:
    assume(repr(first) != repr(second))
    same = fingerprint_of(first) == fingerprint_of(second)
    # `0.0` and `-0.0` are written differently; a mapping may be in another order.
    assert not same or first == second


@given(st.dictionaries(st.text() | st.integers(), PLAIN))
def test_the_order_in_a_mapping_does_not_count(mapping: dict[Any, Any]) -> None:
    assert fingerprint_of(dict(reversed(mapping.items()))) == fingerprint_of(mapping)


def test_objects_count_by_their_attributes_and_paths_by_their_text() -> None:
    assert fingerprint_of(EnvSecret("A")) == fingerprint_of(EnvSecret("A"))
    assert fingerprint_of(EnvSecret("A")) != fingerprint_of(EnvSecret("B"))
    assert fingerprint_of(EnvSecret("A")) != fingerprint_of(FileSecret("A"))
    assert fingerprint_of(Path("/a")) == fingerprint_of("/a")
    assert fingerprint_of({1, 2}) == fingerprint_of({2, 1})
    assert fingerprint_of(math.inf) != fingerprint_of(-math.inf)
