"""The command ``produce``: send a month's trips as a version, and report how many events arrived."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from dagster_pipes import PipesContext

from generator.broker import Broker
from generator.encoding import Encoder
from generator.errors import DeliveryError
from generator.event_schema import AVRO_SCHEMA
from generator.month_versions import read_month
from generator.outlet import VersionOutlet
from generator.pacing import TripStream, send_at_rate, send_in_bursts
from generator.registry import register_schema
from generator.request import ProduceExtras, ProduceRequest, read_produce_request
from generator.sender import Sender
from generator.source import MonthSource, open_source, refuse_replacement

PROGRESS_EVERY_S: Final = 5.0
"""The UI keeps few points of a plot; more frequent messages would push its history out."""


def run_produce(pipes: PipesContext) -> None:
    """Send the step's month and report what the broker acknowledged."""
    request = read_produce_request(pipes)
    with TemporaryDirectory(prefix="drayage-generator-") as folder:
        _send_month(pipes, request, open_source(request, Path(folder)))


def _send_month(pipes: PipesContext, request: ProduceRequest, source: MonthSource) -> None:
    extras, month = request.extras, request.month
    broker = Broker(request.environment.kafka_bootstrap_servers)
    with Sender(
        broker,
        extras.topic,
        extras.versions_topic,
        transactional_id=f"drayage-generator.{extras.topic}.{month}",
        on_served=Progress(pipes),
    ) as sender:
        # Only now: no other step of this month can commit any more, and whatever it committed can be read.
        records = read_month(broker, extras.versions_topic, month)
        refuse_replacement(extras.source, source, records.current, extras.file_before)
        schema_id = register_schema(request.environment.schema_registry_url, extras.topic, AVRO_SCHEMA)
        version = source.describe(schema_id=schema_id, topic=extras.topic, topic_id=broker.topic_id(extras.topic))
        outlet = VersionOutlet(sender, month, version, Encoder(schema_id), records.sending, confirm=source.confirm)
        trips = TripStream(source.trips.batches())
        trips.skip(outlet.resumed)
        started = time.monotonic()
        send_version(outlet, trips, extras)
        produce_s = time.monotonic() - started
    pipes.report_asset_materialization(metadata=_metadata(outlet, source, produce_s))


def send_version(outlet: VersionOutlet, trips: TripStream, extras: ProduceExtras) -> None:
    """Send the events that earlier attempts did not commit, and check their number.

    Args:
        outlet: Sends them.
        trips: The trips of these events.
        extras: The pace.

    Raises:
        DeliveryError: The version is not complete.
    """
    left = outlet.version.events - outlet.resumed
    if extras.events_per_second is not None and extras.mode == "realtime":
        send_at_rate(outlet, trips, total=left, events_per_second=extras.events_per_second)
    else:
        burst_size = extras.batch_size if extras.mode == "batch" and extras.batch_size else left
        send_in_bursts(outlet, trips, total=left, burst_size=burst_size, pause_s=extras.pause_s or 0.0)
    sender = outlet.sender
    if not left == sender.produced == sender.acknowledged.count == sender.committed:
        raise DeliveryError(
            "the numbers of events disagree after the last commit",
            expected=f"{left} to send = produced = acknowledged = committed",
            got=f"{sender.produced} produced, {sender.acknowledged.count} acknowledged, {sender.committed} committed",
            todo="materialize again and report this as a bug of the generator",
        )


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


def _metadata(outlet: VersionOutlet, source: MonthSource, produce_s: float) -> dict[str, Any]:
    sender, trips = outlet.sender, source.trips
    return {
        "events_produced": sender.produced,
        "events_acknowledged": sender.acknowledged.count,
        "events_committed": sender.committed,
        "events_resumed": outlet.resumed,
        "events_in_version": trips.events,
        "events_per_second": sender.acknowledged.count / produce_s,
        "bytes_produced": sender.produced_bytes,
        "offsets": {"type": "json", "raw_value": outlet.offsets},
        "schema_id": outlet.version.schema_id,
        "produce_s": produce_s,
        "transactions": sender.transactions,
        "duplicates_sent": trips.faults.duplicates,
        "invalid_sent": trips.faults.invalid,
        "source": source.kind,
        "source_version": source.version,
        "source_name": source.name,
        "unknown_columns": {"type": "json", "raw_value": trips.unknown_columns},
    }
