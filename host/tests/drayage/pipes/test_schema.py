"""One schema, three readers: the runner, any JSON Schema validator and Dagster's handler agree on messages."""

import copy
import json
from collections.abc import Iterator
from typing import Any, get_args

import dagster as dg
import jsonschema
import pytest
from dagster_pipes import PIPES_PROTOCOL_VERSION, Method, PipesContextData, PipesMetadataType
from hypothesis import given, settings
from hypothesis import strategies as st

from drayage.dagster_internals import metadata_from_pipes
from drayage.pipes.schema import require_message, schema

COLUMN = {"name": "fare", "type": "decimal", "description": None, "tags": {"unit": "usd"}, "constraints": None}
METADATA: dict[str, Any] = {
    "inferred": {"type": "__infer__", "raw_value": [1]},
    "text": {"type": "text", "raw_value": "a"},
    "url": {"type": "url", "raw_value": "https://example.org"},
    "path": {"type": "path", "raw_value": "/a"},
    "notebook": {"type": "notebook", "raw_value": "/a.ipynb"},
    "json": {"type": "json", "raw_value": {"a": [1]}},
    "md": {"type": "md", "raw_value": "*a*"},
    "float": {"type": "float", "raw_value": 1.5},
    "int": {"type": "int", "raw_value": 3},
    "bool": {"type": "bool", "raw_value": True},
    "run": {"type": "dagster_run", "raw_value": "a"},
    "asset": {"type": "asset", "raw_value": "a/b"},
    "null": {"type": "null", "raw_value": None},
    "table": {"type": "table", "raw_value": {"records": [{"fare": 1.5}], "schema": [COLUMN]}},
    "schema": {
        "type": "table_schema",
        "raw_value": {"columns": [{**COLUMN, "constraints": {"nullable": False, "unique": True, "other": ["> 0"]}}]},
    },
    "lineage": {
        "type": "table_column_lineage",
        "raw_value": {"deps_by_column": {"fare": [{"asset_key": ["silver", "trips"], "column_name": "fare"}]}},
    },
    "timestamp": {"type": "timestamp", "raw_value": 1.5},
}
EXCEPTION = {"message": "b", "stack": ["c"], "name": None, "cause": None, "context": None}
PARAMS: list[tuple[str, Any]] = [
    ("opened", {"extras": {}}),
    ("opened", None),
    ("log", {"message": "a", "level": "INFO"}),
    ("log_external_stream", {"stream": "stdout", "text": "a", "extras": {}}),
    ("report_asset_materialization", {"asset_key": "one", "metadata": METADATA, "data_version": "v"}),
    ("report_asset_materialization", {"asset_key": "one", "metadata": None, "data_version": None}),
    (
        "report_asset_check",
        {"asset_key": "one", "check_name": "whole", "passed": True, "severity": "WARN", "metadata": METADATA},
    ),
    ("report_custom_message", {"payload": [None]}),
    ("report_custom_message", {"payload": {"kind": "progress", "metadata": {"rows": 1}, "asset_key": "one"}}),
    ("report_custom_message", {"payload": {"kind": "partition_metadata", "partition_key": "a", "metadata": {}}}),
    ("closed", {"exception": {**EXCEPTION, "cause": EXCEPTION}}),
    ("closed", {}),
]
MESSAGES = [
    {"__dagster_pipes_version": PIPES_PROTOCOL_VERSION, "method": method, "params": params} for method, params in PARAMS
]
VALIDATOR = jsonschema.Draft7Validator(schema())
ANY_JSON = st.sampled_from(
    [None, True, 0, 1.5, "a", "0.1", "opened", "log", "int", "progress", [], ["a"], {}, {"a": 1}]
)


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


@st.composite
def damaged(draw: st.DrawFn, whole: list[Any]) -> Any:
    """Draw something valid, and replace, remove or add one value in it."""
    content = copy.deepcopy(draw(st.sampled_from(whole)))
    *way, last = draw(st.sampled_from(list(places(content))))
    parent = content
    for key in way:
        parent = parent[key]
    change = draw(st.sampled_from(["replace", "remove", "add"]))
    if change == "replace":
        parent[last] = draw(ANY_JSON)
    elif change == "remove":
        del parent[last]
    elif isinstance(parent, dict):
        parent["more"] = draw(ANY_JSON)
    return content


def runner_takes(message: Any) -> bool:
    try:
        require_message(message)
    except TypeError:
        return False
    return True


def test_the_schema_names_exactly_what_dagster_pipes_has() -> None:
    definitions = schema()["definitions"]
    envelope = definitions["message"]["properties"]
    assert envelope["__dagster_pipes_version"]["const"] == PIPES_PROTOCOL_VERSION
    assert set(envelope["method"]["enum"]) == set(get_args(Method))
    assert set(definitions["metadataValue"]["properties"]["type"]["enum"]) == set(get_args(PipesMetadataType))
    assert set(definitions["context"]["required"]) == set(PipesContextData.__annotations__)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message["method"])
def test_every_kind_of_message_is_accepted(message: Any) -> None:
    VALIDATOR.validate(message)
    require_message(message)


@settings(deadline=None, max_examples=60)
@given(damaged(MESSAGES))
def test_the_runner_accepts_exactly_what_the_schema_accepts(message: Any) -> None:
    assert runner_takes(message) == VALIDATOR.is_valid(message), json.dumps(message)


@settings(deadline=None, max_examples=60)
@given(damaged([{name: value} for name, value in METADATA.items()]))
def test_dagster_reads_every_metadata_value_that_the_schema_accepts(metadata: dict[str, Any]) -> None:
    message = {**MESSAGES[5], "params": {"asset_key": "one", "metadata": metadata, "data_version": None}}
    value = next(iter(metadata.values()), None)
    # The one thing that JSON Schema cannot express: 0 is an integer to it, but Dagster wants a float.
    if runner_takes(message) and not (isinstance(value, dict) and value["type"] == "float" and value["raw_value"] == 0):
        metadata_from_pipes(metadata)


def test_dagsters_handler_accepts_every_kind_of_message(capfd: pytest.CaptureFixture[str]) -> None:
    reported: list[Any] = []

    class Reader(dg.PipesMessageReader):
        def read_messages(self, handler: Any) -> Any:
            raise NotImplementedError

        def no_messages_debug_text(self) -> str:
            raise NotImplementedError

    @dg.asset
    def one(context: dg.AssetExecutionContext) -> None:
        handler = dg.PipesMessageHandler(context, Reader())
        for message in MESSAGES:
            handler.handle_message(message)  # type: ignore[arg-type]  # a TypedDict
        reported.extend(handler.get_reported_results())

    assert dg.materialize([one]).success
    assert len(reported) == 3
    assert "a" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("method", "params", "says"),
    [
        ("log", {"massage": "a"}, 'params must contain [\'message\'] properties, got {"massage": "a"}'),
        ("log", {"message": "a", "level": 3}, "params.level must be string, got 3"),
        (
            "report_asset_check",
            {"asset_key": "one", "check_name": "a", "passed": True, "severity": "x" * 999, "metadata": None},
            f"params.severity must be one of ['WARN', 'ERROR'], got \"{'x' * 79}…",
        ),
        (
            "report_asset_materialization",
            {"asset_key": "one", "data_version": None, "metadata": {"rows": {"type": "int", "raw_value": "3"}}},
            'params.metadata.rows.raw_value must be integer, got "3"',
        ),
        ("report_custom_message", {"payload": {"kind": "progress"}}, "params.payload must contain ['metadata']"),
        ("report_custom_message", [3], "params must be an object that holds `payload` and nothing else, got [3]"),
        ("shout", {}, "unknown method 'shout'"),
        ("shout" * 99, {}, f"unknown method '{'shout' * 16}…'"),
        ("closed", {"exception": "boom"}, 'params.exception must be object, got "boom"'),
    ],
)
def test_the_error_says_where_what_was_expected_and_what_came(method: str, params: Any, says: str) -> None:
    with pytest.raises(TypeError) as raised:
        require_message({"__dagster_pipes_version": "0.1", "method": method, "params": params})
    assert says in str(raised.value)
