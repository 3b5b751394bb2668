import datetime as dt
import io
import json
import struct
import tracemalloc
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from generator.encoding import Encoder, encode_keys
from generator.event_schema import AVRO_SCHEMA, EVENT_SCHEMA, TRIP_SCHEMA
from generator.month import Month
from generator.synthesis import SyntheticTrips

PARSED_SCHEMA = fastavro.parse_schema(json.loads(AVRO_SCHEMA))
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MAPS = ("unknown_columns", "values_out_of_range")
MAX_LONG = 2**63 - 1
MIN_LONG = -(2**63)


def written_by_fastavro(events: pa.RecordBatch, schema_id: int) -> list[bytes]:
    """Encode row by row with the reference implementation."""
    messages = []
    times = [field.name for field in events.schema if pa.types.is_timestamp(field.type)]
    columns = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in events.columns]
    for row in pa.RecordBatch.from_arrays(columns, names=events.schema.names).to_pylist():
        for name in times:
            if row[name] is not None:
                row[name] = EPOCH + dt.timedelta(milliseconds=row[name])
        for name in MAPS:
            row[name] = None if row[name] is None else dict(row[name])
        message = io.BytesIO()
        message.write(struct.pack(">bI", 0, schema_id))
        fastavro.schemaless_writer(message, PARSED_SCHEMA, row)
        messages.append(message.getvalue())
    return messages


def events_of(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Return events with these values, and default values in the other fields."""
    defaults: dict[str, Any] = {
        "event_id": "2024-01.s1.000000001",
        "trip_month": "2024-01",
        "sent_at": 1_700_000_000_000,
    }
    return pa.RecordBatch.from_pylist([defaults | row for row in rows], schema=EVENT_SCHEMA)


def test_synthetic_trips_are_encoded_as_fastavro_encodes_them() -> None:
    """All kinds of synthetic trips, including nulls, are compared with the reference."""
    (trips,) = SyntheticTrips(Month(2024, 1), seed=3, events=1000).batches()
    event_id, *columns = trips.columns
    sent_at = pa.array(range(1_700_000_000_000, 1_700_000_001_000)).cast(EVENT_SCHEMA.field("sent_at").type)
    version = pa.repeat("seed-3-events-1000.01234567", 1000)
    events = pa.RecordBatch.from_arrays(
        [event_id, pa.repeat("2024-01", 1000), sent_at, *columns, version], schema=EVENT_SCHEMA
    )
    assert Encoder(123_456).encode(events) == written_by_fastavro(events, 123_456)


@pytest.mark.parametrize("number", [0, 1, -1, 63, 64, -64, -65, 8191, 8192, 2**31, -(2**40), MAX_LONG, MIN_LONG])
def test_a_whole_number_of_any_size_is_encoded_as_fastavro_encodes_it(number: int) -> None:
    """The cases are each length of a varint, both signs, and the ends of the range."""
    events = events_of([{"VendorID": number}, {"VendorID": 1}, {"VendorID": None}])
    assert Encoder(1).encode(events) == written_by_fastavro(events, 1)


@pytest.mark.parametrize("number", [0.0, -0.0, 1.1, -2.5, 1e308, 5e-324, float("inf")])
def test_a_double_is_encoded_as_fastavro_encodes_it(number: float) -> None:
    """Signed zero and the ends of the range keep their bits."""
    events = events_of([{"fare_amount": number}, {"fare_amount": None}])
    assert Encoder(1).encode(events) == written_by_fastavro(events, 1)


def test_texts_of_unequal_length_are_encoded_as_fastavro_encodes_them() -> None:
    """The length counts bytes, not characters, and an empty text is not null."""
    texts = ["", "N", "Zürich", None, "日本", "x" * 200, ""]
    events = events_of([{"store_and_fwd_flag": text, "event_id": text or "id"} for text in texts])
    assert Encoder(1).encode(events) == written_by_fastavro(events, 1)


@pytest.mark.parametrize("shown", [slice(None), slice(2, 6), slice(3, 4)])
def test_maps_are_encoded_as_fastavro_encodes_them(shown: slice) -> None:
    """The cases are null, empty, several entries, more than fit one byte of a length, and parts of a batch."""
    maps: list[Any] = [
        None,
        {"surge_fee_2026": "0.5"},
        {},
        {"a": "", "": "b", "Zürich": "日本", "long": "x" * 20_000},
        {f"column {number}": str(number) for number in range(100)},
        None,
        {"a": "1"},
    ]
    rows = [{"unknown_columns": texts, "values_out_of_range": maps[-1 - place]} for place, texts in enumerate(maps)]
    events = events_of(rows)[shown]
    assert Encoder(1).encode(events) == written_by_fastavro(events, 1)


def test_a_map_with_a_null_in_the_place_of_a_value_is_refused() -> None:
    """The map's type has no null, so any encoding would be an unreadable record."""
    with pytest.raises(ValueError, match="1 nulls"):
        Encoder(1).encode(events_of([{"unknown_columns": {"a": "1", "b": None}}]))


def test_one_long_text_among_many_rows_takes_little_memory() -> None:
    """Each row of a matrix is as wide as the longest text; 5,000 rows would take 2.5 GB."""
    rows: list[dict[str, Any]] = [{"store_and_fwd_flag": "N"}] * 5000
    rows[1234] = {"store_and_fwd_flag": "x" * 500_000}
    events = events_of(rows)
    tracemalloc.start()
    messages = Encoder(1).encode(events)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [len(message) for message in messages].index(max(map(len, messages))) == 1234
    assert messages[:2] + messages[-1:] == Encoder(1).encode(events_of(rows[:2] + rows[-1:]))
    assert peak < 500_000_000


def test_a_row_without_any_value_is_encoded_as_fastavro_encodes_it() -> None:
    """A null is one byte, without any byte of the value that it replaces."""
    events = events_of([dict.fromkeys(TRIP_SCHEMA.names), {"VendorID": 2, "tip_amount": 1.5}])
    assert Encoder(1).encode(events) == written_by_fastavro(events, 1)


def test_times_before_1970_and_at_the_ends_of_the_calendar_are_encoded() -> None:
    """Broken taximeters report such times, and bronze has to store them."""
    times = [-1, 0, -62_135_596_800_000, 253_402_300_799_999, None]
    events = events_of([{"tpep_pickup_datetime": time} for time in times])
    assert Encoder(1).encode(events) == written_by_fastavro(events, 1)


def test_a_slice_is_encoded_like_the_rows_that_it_shows() -> None:
    """Chunks are slices, whose buffers start before their rows and end after them."""
    rows = [
        {"event_id": f"id{'x' * n}", "VendorID": n if n % 3 else None, "store_and_fwd_flag": "N" * n} for n in range(50)
    ]
    events = events_of(rows).slice(17, 20)
    assert Encoder(1).encode(events) == written_by_fastavro(events, 1)
    assert encode_keys(events.column("event_id")) == [str(row["event_id"]).encode() for row in rows[17:37]]


def test_a_batch_is_encoded_as_if_there_had_been_no_other_before() -> None:
    """Batches share memory, in which nothing may remain of a longer batch or one without nulls."""
    full = {"VendorID": MAX_LONG, "store_and_fwd_flag": "a long one", "trip_distance": 1.5}
    batches = [events_of(rows) for rows in ([full] * 50, [{}] * 7, [full, {}, full] * 40, [{"VendorID": 1}])]
    encoder = Encoder(1)
    messages = [encoder.encode(events) for events in batches]
    assert messages == [written_by_fastavro(events, 1) for events in batches]


def test_no_events_make_no_messages() -> None:
    """The end of a month may leave an empty chunk."""
    assert Encoder(1).encode(events_of([{}]).slice(0, 0)) == []


def test_a_message_starts_with_the_magic_byte_and_the_schema_id() -> None:
    """Consumers find the schema by these five bytes."""
    (message,) = Encoder(0x01020304).encode(events_of([{}]))
    assert message[:5] == b"\x00\x01\x02\x03\x04"


def test_an_event_without_its_identity_is_refused() -> None:
    """The field's type has no null branch, so any encoding would be an unreadable record."""
    events = events_of([{}])
    columns = [pa.nulls(1, pa.string()), *events.columns[1:]]
    with pytest.raises(ValueError, match="1 nulls"):
        Encoder(1).encode(pa.RecordBatch.from_arrays(columns, schema=EVENT_SCHEMA))
