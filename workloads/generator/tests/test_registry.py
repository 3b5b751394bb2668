import json

import pytest
from conftest import TOPIC, FakeRegistry
from trip_files import TLC_COLUMNS

from generator.errors import RegistryError, SchemaRefusedError
from generator.event_schema import AVRO_SCHEMA, TRIP_SCHEMA
from generator.registry import register_schema

SUBJECT = f"{TOPIC}-value"


def test_a_new_schema_is_registered_and_its_subject_made_backward_compatible(registry: FakeRegistry) -> None:
    """The rule must hold from the first version on."""
    assert register_schema(registry.url, TOPIC, AVRO_SCHEMA) == 7
    assert json.loads(registry.schemas[0]) == json.loads(AVRO_SCHEMA)
    assert registry.requests[-1] == f"PUT /config/{SUBJECT}"


def test_a_known_subject_is_made_backward_compatible_before_a_version_is_added(registry: FakeRegistry) -> None:
    """Otherwise a registry whose global rule is NONE would accept an incompatible version."""
    registry.schemas.append("{}")
    register_schema(registry.url, TOPIC, AVRO_SCHEMA)
    assert registry.requests == [
        f"GET /subjects/{SUBJECT}/versions",
        f"PUT /config/{SUBJECT}",
        f"POST /subjects/{SUBJECT}/versions",
    ]


def test_a_refused_schema_says_so_and_what_to_compare(registry: FakeRegistry) -> None:
    """The author of the schema's change needs the registry's reason."""
    registry.answer = (409, b'{"error_code": 409, "message": "READER_FIELD_MISSING_DEFAULT_VALUE: tip"}')
    with pytest.raises(SchemaRefusedError, match=r"taxi.raw_trips-value was refused, and nothing was sent.*tip.*to do"):
        register_schema(registry.url, TOPIC, AVRO_SCHEMA)


@pytest.mark.parametrize("answer", [(500, b'{"error_code": 50001, "message": "no store"}'), (200, b"<html>")])
def test_a_registry_that_fails_is_named(registry: FakeRegistry, answer: tuple[int, bytes]) -> None:
    """A server error, or an answer from another server at that address, is not a refusal."""
    registry.answer = answer
    with pytest.raises(RegistryError, match=f"schema registry {registry.url}.*to do: look at the registry's container"):
        register_schema(registry.url, TOPIC, AVRO_SCHEMA)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nowhere"])
def test_a_registry_that_does_not_answer_is_named(url: str) -> None:
    """The message must show which service is down."""
    with pytest.raises(RegistryError, match=f"schema registry {url}.*to do: "):
        register_schema(url, TOPIC, AVRO_SCHEMA)


def test_the_schema_has_the_tlcs_columns_which_may_all_be_absent() -> None:
    """Readers rely on these names, and real files contain nulls."""
    assert TRIP_SCHEMA.names[: len(TLC_COLUMNS)] == TLC_COLUMNS
    record = json.loads(AVRO_SCHEMA)
    assert f"{record['namespace']}.{record['name']}" == "nyc.taxi.RawTrip"
    names = [field["name"] for field in record["fields"]]
    assert names == ["event_id", "trip_month", "sent_at", *TRIP_SCHEMA.names, "source_version"]
    for field in record["fields"][3:]:
        assert field["type"][0] == "null"
        assert field["default"] is None
