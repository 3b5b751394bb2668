"""What cannot be stored or shown is refused by name, and everything else is not."""

import json
import math
from typing import Any

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drayage.errors import SettingsError
from drayage.pipes.schema import require_message
from drayage.pipes.values import DEEPEST, require_extras, shown, unfit

BEYOND = 2**53 + 1
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
# Whatever one may report.
FINE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
BAD = st.sampled_from([math.nan, math.inf, -math.inf, "caf\udce9", "\ud800", "a\0b", {"a\0": 1}, {"\udfff": 1}, BEYOND])


def metadata_message(value: Any, kind: str = "json") -> dict[str, Any]:
    return message("report_asset_materialization", metadata={"x": {"type": kind, "raw_value": value}})


def message(method: str, **params: Any) -> dict[str, Any]:
    base = {
        "report_asset_materialization": {"asset_key": "a", "metadata": None, "data_version": None},
        "report_asset_check": {
            "asset_key": "a",
            "check_name": "whole",
            "passed": True,
            "severity": "WARN",
            "metadata": None,
        },
        "log": {"message": "a", "level": "INFO"},
    }.get(method, {})
    return {"__dagster_pipes_version": "0.1", "method": method, "params": {**base, **params}}


@settings(deadline=None, max_examples=100)
@given(FINE)
def test_plain_json_is_taken(value: Any) -> None:
    assert unfit({"metadata": {"x": value}}, where="params", metadata=("metadata",)) is None
    require_message(metadata_message([value]))


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[Any, str, Any]:
    """A bad value within lists and objects, the way to it, and the value."""
    bad = value = draw(BAD)
    way = ""
    for step in draw(st.lists(st.sampled_from(["list", "object"]), min_size=1, max_size=4)):
        before = draw(st.lists(FINE, max_size=2))
        if step == "list":
            value, way = [*before, value, *before], f"[{len(before)}]{way}"
        else:
            value = {**{f"before{number}": item for number, item in enumerate(before)}, "bad": value}
            way = f".bad{way}"
    return value, way, bad


@settings(deadline=None, max_examples=200)
@given(spoiled())
def test_whatever_is_wrong_is_refused_with_its_path(found: tuple[Any, str, Any]) -> None:
    """The path is the way to it inside the message, as deep as it may be."""
    value, way, bad = found
    # As it arrives: the parser takes all of this.
    arrived = json.loads(json.dumps(metadata_message(value)))
    with pytest.raises(TypeError) as raised:
        require_message(arrived)
    text = str(raised.value)
    assert text.startswith(f"params.metadata.x.raw_value{way}")
    assert text.encode(), "an error that cannot be stored would be lost itself"
    assert "\0" not in text
    if bad == BEYOND:
        assert str(BEYOND) in text


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (message("report_asset_materialization", data_version="a\0b"), "params.data_version holds NUL (character 1)"),
        (message("report_asset_materialization", data_version="a\udce9"), "params.data_version holds a lone surrogate"),
        (message("report_asset_materialization", asset_key="a\0"), "params.asset_key holds NUL"),
        (message("report_asset_check", check_name="a\udce9"), "params.check_name holds a lone surrogate"),
        (message("log", message="a\udce9"), "params.message holds a lone surrogate (\\udce9, character 1)"),
        (message("log", level="a\0"), "params.level holds NUL"),
        (message("opened", extras={"a": [math.nan]}), "params.extras.a[0] is NaN"),
        (message("log_external_stream", stream="stdout", text="\udce9"), "params.text holds a lone surrogate"),
        (message("report_custom_message", payload={"a": math.inf}), "params.payload.a is Infinity"),
        (message("report_custom_message", payload={"a": ["\udce9"]}), "params.payload.a[0] holds a lone surrogate"),
        (
            message("report_custom_message", payload={"kind": "progress", "metadata": {"a": [BEYOND]}}),
            "params.payload.metadata.a[0] is 9007199254740993, beyond 2**53",
        ),
        (
            message(
                "report_custom_message",
                payload={"kind": "partition_metadata", "partition_key": "a\0", "metadata": {}},
            ),
            "params.payload.partition_key holds NUL",
        ),
        (metadata_message({"records": [{"a": BEYOND}], "schema": []}, "table"), "raw_value.records[0].a is 9007"),
        (metadata_message(1e13, "timestamp"), "params.metadata.x.raw_value must be smaller than or equal to 8640"),
        (
            message(
                "report_asset_check", metadata={"__source_asset_observation__": {"type": "bool", "raw_value": True}}
            ),
            "params.metadata.__source_asset_observation__ is a name by which Dagster records no materialization",
        ),
    ],
)
def test_every_part_of_a_message_is_searched(wrong: Any, says: str) -> None:
    with pytest.raises(TypeError) as raised:
        require_message(wrong)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    "right",
    [
        metadata_message(10**300, "int"),
        metadata_message(-(2**63), "__infer__"),
        message("report_custom_message", payload={"kind": "progress", "metadata": {"a": BEYOND}}),
        # The pipeline's own, which neither storage nor UI gets.
        message("report_custom_message", payload={"a": BEYOND, "b": "\0", "metadata": {"c": [BEYOND]}}),
        message("opened", extras={"a": BEYOND}),
        metadata_message("umlaut ü, euro €, smile 😀"),
    ],
)
def test_what_is_shown_as_it_is_may_be_reported(right: Any) -> None:
    require_message(json.loads(json.dumps(right)))


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_nesting_ends_before_storage_does() -> None:
    # `params`, `metadata` and the typed value are three levels themselves.
    require_message(metadata_message(nested(DEEPEST - 3)))
    for levels in (DEEPEST - 2, 900):
        with pytest.raises(TypeError, match="is nested more than 100 levels deep"):
            require_message(metadata_message(nested(levels)))


def test_the_nesting_that_is_taken_is_recorded() -> None:
    with dg.DagsterInstance.ephemeral() as instance:

        @dg.asset
        def deep() -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows the bare class only
            return dg.MaterializeResult(metadata={"x": dg.MetadataValue.json(nested(DEEPEST - 3))})

        assert dg.materialize([deep], instance=instance).success
        event = instance.get_latest_materialization_event(dg.AssetKey("deep"))
        assert event is not None


@pytest.mark.parametrize(
    ("extras", "says"),
    [
        ({"a": math.nan}, "extras.a: expected a finite number, got nan"),
        ({"a": (1, math.inf)}, "extras.a[1]: expected a finite number, got inf"),
        ({"a": {"b": "\udce9"}}, "extras.a.b holds a lone surrogate"),
    ],
)
def test_extras_that_no_other_language_reads_are_refused(extras: Any, says: str) -> None:
    with pytest.raises(SettingsError) as raised:
        require_extras(extras)
    assert says in str(raised.value)
    assert str(raised.value).endswith("Nothing was started.")


@pytest.mark.parametrize("extras", [None, {}, {"a": (1, 2), "b": {"c": BEYOND}, "d": "\0"}])
def test_all_other_extras_are_passed(extras: Any) -> None:
    require_extras(extras)


@given(FINE | BAD)
def test_a_value_is_shown_short_and_in_ascii(value: Any) -> None:
    text = shown(value, 20)
    assert len(text) <= 21
    assert text.removesuffix("…").isascii()


def test_a_large_value_is_not_written_out_to_be_shortened() -> None:
    class Endless(dict[str, int]):
        def items(self) -> Any:
            return ((str(number), number) for number in iter(int, 1))

    assert len(shown(Endless(a=1))) == 81
