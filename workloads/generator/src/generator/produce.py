"""The command ``produce``: send a month's trips to the topic, and report how many arrived."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pyarrow as pa
from dagster_pipes import PipesContext

from generator.broker import Broker
from generator.encoding import Encoder, encode_keys
from generator.errors import DeliveryError, RequestError
from generator.event_schema import AVRO_SCHEMA, EVENT_SCHEMA
from generator.faults import FaultCount
from generator.month import Month
from generator.pacing import TripStream, send_at_rate, send_in_bursts
from generator.registry import register_schema
from generator.request import ProduceExtras, ProduceRequest, read_produce_request
from generator.sender import Sender
from generator.synthesis import SyntheticTrips
from generator.trip_file import TripFile, find_trip_file

PROGRESS_EVERY_S: Final = 5.0
"""The UI keeps few points of a plot; more frequent messages would push its history out."""

NS_PER_MS: Final = 1_000_000


class TripSource(Protocol):
    """The source of a month's trips.

    Args:
        kind: ``file`` or ``synthetic``.
        file_name: Name of the file; empty if there is none.
        events: Number of events to send.
        faults: Numbers of intentionally repeated and invalid trips among them.
    """

    kind: str
    file_name: str
    events: int

    @property
    def faults(self) -> FaultCount:
        """Numbers of intentionally repeated and invalid trips."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield ``event_id`` and the TLC's columns."""


def run_produce(pipes: PipesContext) -> None:
    """Send the step's month and report what the broker acknowledged."""
    request = read_produce_request(pipes)
    source = open_source(request)
    broker = Broker(request.environment.kafka_bootstrap_servers)
    topic, month = request.extras.topic, request.month
    with Sender(
        broker,
        topic,
        transactional_id=f"drayage-generator.{topic}.{month}",
        transaction_events=_burst_size(request.extras, source.events),
        on_served=Progress(pipes),
    ) as sender:
        schema_id = register_schema(request.environment.schema_registry_url, topic, AVRO_SCHEMA)
        started = time.monotonic()
        _send(EventOutlet(sender, month, Encoder(schema_id)), source, request.extras)
        produce_s = time.monotonic() - started
    pipes.report_asset_materialization(metadata=_metadata(sender, source, schema_id, produce_s))


def open_source(request: ProduceRequest) -> TripSource:
    """Choose the source of the month's trips: its file if there is one, otherwise the seed.

    Args:
        request: The step's request.

    Returns:
        The source.

    Raises:
        TripFileError: The file cannot be sent as a whole.
        RequestError: There is no file, and the extras for a synthetic month are missing.
    """
    folder, month, extras = request.environment.trips_dir, request.month, request.extras
    path = find_trip_file(folder, month)
    if path is not None:
        return TripFile(month, path)
    if extras.events is None or extras.seed is None:
        raise RequestError(
            f"there are no trips for {month}",
            expected=f"a file yellow_tripdata_{month}.parquet or .csv, or the extras events and seed",
            got=f"extras events {extras.events} and seed {extras.seed}",
            where=str(folder),
            todo="put the TLC's file there, or pass the number of trips and the seed to synthesise them from",
        )
    return SyntheticTrips(month, seed=extras.seed, events=extras.events)


class Progress:
    """Reports the progress of a long step to the host.

    Args:
        pipes: The step's Pipes context.
    """

    def __init__(self, pipes: PipesContext) -> None:
        self._pipes = pipes
        self._reported_at = time.monotonic()
        self._reported = 0

    def __call__(self, acknowledged: int) -> None:
        """Report, if the last report is ``PROGRESS_EVERY_S`` or more ago.

        Args:
            acknowledged: Number of events acknowledged so far.
        """
        now = time.monotonic()
        elapsed_s = now - self._reported_at
        if elapsed_s < PROGRESS_EVERY_S:
            return
        self._pipes.report_custom_message(
            {
                "kind": "progress",
                # Same names as in the materialization, so that the UI plots both as one line.
                "metadata": {
                    "events_acknowledged": acknowledged,
                    "events_per_second": (acknowledged - self._reported) / elapsed_s,
                },
            }
        )
        self._reported_at, self._reported = now, acknowledged


@dataclass(frozen=True, slots=True)
class EventOutlet:
    """Turns trips into events, encodes them as messages and passes these to the sender.

    Args:
        sender: Sends the messages.
        month: The month that the trips are sent for.
        encoder: Encodes events as messages.
    """

    sender: Sender
    month: Month
    encoder: Encoder

    def transaction(self) -> AbstractContextManager[None]:
        """Commit what the block sends, or abort."""
        return self.sender.transaction()

    def send(self, trips: Iterator[pa.RecordBatch]) -> None:
        """Encode trips with the time of sending, and pass them to the sender."""
        for chunk in trips:
            self.sender.send(*self._encode(chunk))

    def serve(self, wait_s: float) -> None:
        """Wait, and handle the broker's reports in the meantime."""
        self.sender.serve(wait_s)

    def _encode(self, trips: pa.RecordBatch) -> tuple[list[bytes], list[bytes]]:
        event_id, *columns = trips.columns
        count = trips.num_rows
        sent_at = pa.scalar(time.time_ns() // NS_PER_MS, pa.int64()).cast(EVENT_SCHEMA.field("sent_at").type)
        events = pa.RecordBatch.from_arrays(
            [event_id, pa.repeat(str(self.month), count), pa.repeat(sent_at, count), *columns],
            schema=EVENT_SCHEMA,
        )
        return encode_keys(event_id), self.encoder.encode(events)


def _send(outlet: EventOutlet, source: TripSource, extras: ProduceExtras) -> None:
    trips = TripStream(source.batches())
    total = source.events
    if extras.events_per_second is not None and extras.mode == "realtime":
        send_at_rate(outlet, trips, total=total, events_per_second=extras.events_per_second)
    else:
        burst_size = _burst_size(extras, total)
        send_in_bursts(outlet, trips, total=total, burst_size=burst_size, pause_s=extras.pause_s or 0.0)
    sender = outlet.sender
    if not total == sender.produced == sender.acknowledged.count == sender.committed:
        raise DeliveryError(
            "the numbers of events disagree after the last commit",
            expected=f"{total} to send = produced = acknowledged = committed",
            got=f"{sender.produced} produced, {sender.acknowledged.count} acknowledged, {sender.committed} committed",
            todo="materialize again and report this as a bug of the generator",
        )


def _burst_size(extras: ProduceExtras, total: int) -> int:
    return extras.batch_size if extras.mode == "batch" and extras.batch_size else total


def _metadata(sender: Sender, source: TripSource, schema_id: int, produce_s: float) -> dict[str, Any]:
    return {
        "events_produced": sender.produced,
        "events_acknowledged": sender.acknowledged.count,
        "events_committed": sender.committed,
        "events_per_second": sender.acknowledged.count / produce_s,
        "bytes_produced": sender.produced_bytes,
        "offsets": {"type": "json", "raw_value": sender.acknowledged.offsets},
        "schema_id": schema_id,
        "produce_s": produce_s,
        "transactions": sender.transactions,
        "duplicates_sent": source.faults.duplicates,
        "invalid_sent": source.faults.invalid,
        "source": source.kind,
        "source_file": source.file_name,
    }
