"""Custom messages that the client handles itself."""

from typing import Any

import dagster as dg
import pytest

from drayage.pipes.custom_messages import MOST_OBSERVATIONS, CustomMessages


class Context:
    """The part of Dagster's context that is used here."""

    has_assets_def = True
    has_partition_key = False

    def __init__(self, *keys: str) -> None:
        self.selected_asset_keys = {dg.AssetKey(key) for key in keys}
        self.observations: list[dg.AssetObservation] = []

    def log_event(self, event: dg.AssetObservation) -> None:
        self.observations.append(event)


def progress(**fields: Any) -> dict[str, Any]:
    return {"kind": "progress", "metadata": {"rows": 1}, **fields}


def consume(context: Context, seconds: list[float]) -> None:
    times = iter(seconds)
    custom = CustomMessages(context, clock=lambda: next(times))  # type: ignore[arg-type]  # a fake at the boundary
    for _ in seconds:
        assert custom(progress())


def test_progress_is_observed_at_most_every_five_seconds() -> None:
    context = Context("a")
    consume(context, [0, 1, 4.9, 5, 6, 10])
    assert len(context.observations) == 2


def test_every_asset_of_a_step_has_its_own_progress() -> None:
    """Otherwise the second asset of a step would never be plotted."""
    context = Context("a", "b")
    custom = CustomMessages(context, clock=lambda: 0.0)  # type: ignore[arg-type]  # a fake at the boundary
    for key in ("a", "b", "a", "b"):
        assert custom(progress(asset_key=key))
    assert [observation.asset_key.to_user_string() for observation in context.observations] == ["a", "b"]


def test_progress_carries_the_steps_numbers_unless_the_workload_sends_its_own() -> None:
    """Otherwise a plot of them would have gaps at each observation."""
    context = Context("a")
    measures = {"duration_s": dg.MetadataValue.float(2.5), "rows": dg.MetadataValue.int(0)}
    CustomMessages(context, lambda: measures)(progress())  # type: ignore[arg-type]  # a fake at the boundary
    (observation,) = context.observations
    assert {name: value.value for name, value in observation.metadata.items()} == {"duration_s": 2.5, "rows": 1}


@pytest.mark.parametrize("url", ["javascript:alert(1)", "/relative", 3])
def test_only_web_pages_are_remembered(url: object) -> None:
    custom = CustomMessages(Context("a"))  # type: ignore[arg-type]  # a fake at the boundary
    assert not custom({"kind": "flink_job", "url": "http://127.0.0.1:8081/job"})
    assert not custom({"kind": "flink_job", "url": url})
    assert custom.links == {"flink job": "http://127.0.0.1:8081/job"}


def test_a_step_makes_at_most_thirty_observations() -> None:
    context = Context("a")
    consume(context, [1e6 * number for number in range(100)])
    assert len(context.observations) == MOST_OBSERVATIONS == 30


@pytest.mark.parametrize(
    ("payload", "keys"),
    [(progress(), ["a", "b"]), (progress(asset_key="c"), ["a"]), ({"kind": "progress"}, ["a"])],
)
def test_malformed_progress_is_refused(payload: dict[str, Any], keys: list[str]) -> None:
    with pytest.raises(TypeError):
        CustomMessages(Context(*keys))(payload)  # type: ignore[arg-type]  # a fake at the boundary


def test_numbers_with_a_name_of_the_runners_are_observed_beside_it() -> None:
    context = Context("a")
    custom = CustomMessages(context, lambda: {"cpu_s": dg.MetadataValue.float(2.5)})  # type: ignore[arg-type]  # a fake
    custom({"kind": "progress", "metadata": {"cpu_s": 1.5}})
    (observation,) = context.observations
    assert {name: value.value for name, value in observation.metadata.items()} == {"cpu_s": 2.5, "reported/cpu_s": 1.5}


def test_metadata_of_a_partition_that_is_recorded_already_is_refused() -> None:
    """Dagster would drop it without a word."""

    class Executing(dg.AssetExecutionContext):
        has_assets_def = True
        selected_asset_keys = frozenset({dg.AssetKey("a")})

        def __init__(self) -> None:
            """Take no step: this is the little that is used of one."""

    custom = CustomMessages(Executing(), recorded=lambda: {dg.AssetKey("a")})
    with pytest.raises(TypeError, match="the materialization of a was streamed"):
        custom({"kind": "partition_metadata", "partition_key": "p", "metadata": {}, "asset_key": "a"})


@pytest.mark.parametrize("payload", [None, 3, {"kind": "mine"}, [progress()]])
def test_other_custom_messages_are_left_alone(payload: object) -> None:
    assert not CustomMessages(Context("a"))(payload)  # type: ignore[arg-type]  # a fake at the boundary
