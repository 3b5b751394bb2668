"""Records that cannot be decoded are kept with the reason, and delay nothing."""

from __future__ import annotations

import json
import struct
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer
from stack import Stack
from topic_reader import TOPIC

pytestmark = pytest.mark.stack

MONTH = "2018-04"
EVENTS = 200
SUBJECT = f"{TOPIC}-value"


@pytest.fixture(scope="module")
def month(stack: Stack) -> Stack:
    """Send a month, so that topic and schema exist."""
    launch = stack.launch(MONTH, "--select", "kafka_topics,generate_events", "--events", str(EVENTS))
    assert launch.exit_code == 0, launch.output
    return stack


def _registry(stack: Stack, method: str, path: str, **body: Any) -> Any:
    answer = httpx.request(method, f"{stack.url('REGISTRY_PORT')}/apis/ccompat/v7{path}", json=body or None, timeout=30)
    answer.raise_for_status()
    return answer.json()


def _latest_schema(stack: Stack) -> tuple[int, dict[str, Any]]:
    latest = _registry(stack, "GET", f"/subjects/{SUBJECT}/versions/latest")
    return latest["id"], json.loads(latest["schema"])


def _register(stack: Stack, subject: str, schema: dict[str, Any]) -> int:
    return int(_registry(stack, "POST", f"/subjects/{subject}/versions", schema=json.dumps(schema))["id"])


def _zigzag(number: int) -> bytes:
    """Encode a long as Avro does: zigzag, seven bits a byte, the lowest first."""
    left, encoded = number * 2 if number >= 0 else -number * 2 - 1, bytearray()
    while left > 0x7F:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*encoded, left])


def _text(text: str) -> bytes:
    return _zigzag(len(text)) + text.encode()


def _trip(schema_id: int, schema: dict[str, Any], event_id: str, last: bytes = b"\x00") -> bytes:
    """Encode an event with only the required columns, and optionally the last one."""
    required = _text(event_id) + _text(MONTH) + _zigzag(1_700_000_000_000)
    unknown = b"\x00" * (len(schema["fields"]) - 4)
    return struct.pack(">bI", 0, schema_id) + required + unknown + last


def _send(stack: Stack, *values: bytes | None) -> None:
    producer = Producer({"bootstrap.servers": f"127.0.0.1:{stack.port('KAFKA_PORT')}", "acks": "all"})
    for value in values:
        producer.produce(TOPIC, key=b"somebody else", value=value)
    assert producer.flush(30) == 0
    producer.close()


def _quarantine(stack: Stack) -> list[dict[str, Any]]:
    """Read the catalog's view by running its own SQL."""
    catalog = stack.catalog()
    texts = [one.root for one in catalog.load_view("bronze.quarantine").current_version().representations]
    assert {text.dialect for text in texts} >= {"spark", "trino"}
    assert "FROM bronze.raw_trips" in texts[0].sql
    condition = texts[0].sql.rpartition("WHERE ")[2]
    scan = catalog.load_table("bronze.raw_trips").scan(row_filter=condition)
    rows: list[dict[str, Any]] = scan.to_arrow().to_pylist()
    return rows


def test_undecodable_records_are_kept_and_counted_and_delay_nothing(month: Stack) -> None:
    """Bytes and reason stay in bronze, the month goes on to silver, and every number adds up."""
    schema_id, schema = _latest_schema(month)
    other = _register(
        month, "somebody-else-value", {"type": "record", "name": "Other", "fields": [{"name": "x", "type": "int"}]}
    )
    whole = _trip(schema_id, schema, "whole")
    bad: dict[bytes | None, str] = {
        b"not Avro at all": "framing",
        struct.pack(">bI", 0, 987_654) + b"\x02": "Schema 987654 is unknown",
        struct.pack(">bI", 0, other) + b"\x02": "it has no field event_id",
        whole[:-10]: "does not fit the value",
        # A length of two gigabytes must not crash the TaskManager.
        struct.pack(">bI", 0, schema_id) + b"\xf0\xff\xff\xff\x0f": "does not fit the value",
        None: "no value",
    }
    kept_before = {row["kafka_offset"] for row in _quarantine(month)} if _has_bronze(month) else set()
    _send(month, *bad, whole)
    launch = month.launch(MONTH, "--select", "bronze/raw_trips,silver/cleaned_trips")
    assert launch.exit_code == 0, launch.output

    bronze = month.materialization("bronze/raw_trips", MONTH)
    assert bronze["rows_undecodable"] == len(bad)
    assert bronze["rows_read"] == bronze["rows_written"] + bronze["rows_undecodable"]
    assert (bronze["records_missing"], bronze["rows_repeated"]) == (0, 0)
    assert bronze["dagster/row_count"] == EVENTS + 1
    rows = _quarantine(month)
    assert bronze["rows_in_quarantine"] == len(rows)
    new = [row for row in rows if row["kafka_offset"] not in kept_before]
    reasons = {row["undecodable_value"]: row["undecodable_reason"] for row in new}
    assert reasons.keys() == bad.keys()
    for value, reason in bad.items():
        assert reason in reasons[value]
    silver = month.materialization("silver/cleaned_trips", MONTH)
    # The whole record names no version of the month.
    assert (silver["rows_read"], silver["rows_superseded"]) == (EVENTS + 1, 1)
    checks = month.checks("bronze/raw_trips", launch.run_id)
    assert checks["every_record_decodable"] == ("WARN", False)
    assert checks["every_row_accounted_for"] == checks["every_record_once"] == ("ERROR", True)


def test_a_new_optional_field_flows_through(month: Stack) -> None:
    """Events of a newer sender are read as before."""
    _, schema = _latest_schema(month)
    wider = {**schema, "fields": [*schema["fields"], {"name": "cbd_fee", "type": ["null", "double"], "default": None}]}
    value = b"\x02" + struct.pack("<d", 0.75)  # the union's second branch
    _send(month, _trip(_register(month, SUBJECT, wider), wider, "wider", value))
    launch = month.launch(MONTH, "--select", "bronze/raw_trips")
    assert launch.exit_code == 0, launch.output
    assert month.materialization("bronze/raw_trips", MONTH)["rows_undecodable"] == 0
    assert [row for row in month.table_rows("bronze.raw_trips", MONTH) if row["event_id"] == "wider"]


def test_the_registry_refuses_a_schema_that_breaks_readers(month: Stack) -> None:
    """The generator registers its schema before its first event, so a refusal stops it there."""
    _, schema = _latest_schema(month)
    breaking = {**schema, "fields": [*schema["fields"], {"name": "demanded", "type": "string"}]}
    with pytest.raises(httpx.HTTPStatusError) as refused:
        _register(month, SUBJECT, breaking)
    assert refused.value.response.status_code == httpx.codes.CONFLICT


def test_a_registry_that_does_not_answer_quarantines_nothing(month: Stack) -> None:
    """No record can be classified then: the job fails, and the next one reads them."""
    _send(month, _trip(*_latest_schema(month), "while the registry was away"))
    kept = len(_quarantine(month))
    with month.stopped("schema-registry"):
        red = month.launch(MONTH, "--select", "bronze/raw_trips")
    assert red.exit_code != 0
    assert "schema-registry:8085" in red.output
    green = month.launch(MONTH, "--select", "bronze/raw_trips")
    assert green.exit_code == 0, green.output
    assert month.materialization("bronze/raw_trips", MONTH)["rows_written"] >= 1
    assert len(_quarantine(month)) == kept


def _has_bronze(stack: Stack) -> bool:
    return stack.catalog().table_exists("bronze.raw_trips") and stack.catalog().view_exists("bronze.quarantine")
