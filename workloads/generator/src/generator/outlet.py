"""Trips to events, and the records of how much of a version is committed."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa

from generator.encoding import Encoder, encode_keys
from generator.event_schema import EVENT_SCHEMA
from generator.month import Month
from generator.month_versions import (
    CurrentVersion,
    MonthVersion,
    Offsets,
    SendingVersion,
    current_key,
    merge_offsets,
    sending_key,
)
from generator.sender import Sender

NS_PER_MS: Final = 1_000_000

_log = logging.getLogger(__name__)


class VersionOutlet:
    """Sends a version's trips as events; each transaction also writes how much of the version it completes.

    Args:
        sender: Sends events and records.
        month: The month.
        version: The version.
        encoder: Encodes events as messages.
        sending: The version that was being sent last; if it is this one, its events are not sent again.
        confirm: Called in the transaction that completes the version, before its record is written; raises if the
            version must not become the current one, because its source is no longer what the month is made from.
    """

    def __init__(
        self,
        sender: Sender,
        month: Month,
        version: MonthVersion,
        encoder: Encoder,
        sending: SendingVersion | None,
        *,
        confirm: Callable[[], None],
    ) -> None:
        self.sender = sender
        self.version = version
        self.resumed = 0
        """Number of events that earlier attempts committed."""
        self._resumed_offsets: Offsets = {}
        self._month = month
        self._encoder = encoder
        self._confirm = confirm
        if sending is not None and sending.is_part_of(version):
            self.resumed, self._resumed_offsets = sending.events_sent, sending.offsets
            _log.info("%d of %d events were committed by an earlier attempt", self.resumed, version.events)

    @property
    def offsets(self) -> Offsets:
        """First and last offset of the version's events, by partition."""
        return merge_offsets(self._resumed_offsets, self.sender.acknowledged.offsets)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block sends, together with the record of it, or abort."""
        produced_before = self.sender.produced
        with self.sender.transaction():
            yield
            # The offsets are known once all events are acknowledged.
            self.sender.settle()
            if self.resumed + self.sender.produced == self.version.events:
                self._record_completion()
            elif self.sender.produced > produced_before:
                self._record_progress()

    def send(self, trips: Iterator[pa.RecordBatch]) -> None:
        """Encode trips with the time of sending, and pass them to the sender."""
        for chunk in trips:
            self.sender.send(*self._encode(chunk))

    def serve(self, wait_s: float) -> None:
        """Wait, and handle the broker's reports in the meantime."""
        self.sender.serve(wait_s)

    def _record_progress(self) -> None:
        record = SendingVersion(
            **self.version.model_dump(), offsets=self.offsets, events_sent=self.resumed + self.sender.produced
        )
        self.sender.send_record(sending_key(self._month), record.model_dump_json().encode())

    def _record_completion(self) -> None:
        # Here, since a step that sends another version of the month either ended before this one began to send, and
        # its file has landed, or begins later and fences this transaction off.
        self._confirm()
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        record = CurrentVersion(**self.version.model_dump(), offsets=self.offsets, completed_at=now)
        self.sender.send_record(current_key(self._month), record.model_dump_json().encode())
        self.sender.send_record(sending_key(self._month), None)

    def _encode(self, trips: pa.RecordBatch) -> tuple[list[bytes], list[bytes]]:
        event_id, *columns = trips.columns
        count = trips.num_rows
        sent_at = pa.scalar(time.time_ns() // NS_PER_MS, pa.int64()).cast(EVENT_SCHEMA.field("sent_at").type)
        events = pa.RecordBatch.from_arrays(
            [
                event_id,
                pa.repeat(str(self._month), count),
                pa.repeat(sent_at, count),
                *columns,
                pa.repeat(self.version.source_version, count),
            ],
            schema=EVENT_SCHEMA,
        )
        return encode_keys(event_id), self._encoder.encode(events)
