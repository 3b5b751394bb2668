"""The source of a month's trips: its file in the landing zone, or a seed."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa

from generator.errors import SyntheticRefusedError, TripFileMissingError
from generator.event_schema import AVRO_SCHEMA
from generator.faults import FaultCount
from generator.landing import DownloadedFile, LandingZone
from generator.month import Month
from generator.month_files import SUFFIXES
from generator.month_versions import CurrentVersion, MonthVersion, SourceKind, hash_of_schema
from generator.request import ProduceExtras, ProduceRequest, SourceChoice
from generator.synthesis import SyntheticTrips
from generator.trip_file import TripFile

HASH_DIGITS: Final = 16
"""Number of hexadecimal digits of a file's SHA-256 in its version."""

_log = logging.getLogger(__name__)


class Trips(Protocol):
    """A month's trips.

    Args:
        events: Number of events to send.
        unknown_columns: Number of values of each column that the event's schema does not have.
    """

    events: int
    unknown_columns: dict[str, int]

    @property
    def sha256(self) -> str | None:
        """Hash of the file's content; None without a file."""

    @property
    def faults(self) -> FaultCount:
        """Numbers of intentionally repeated and invalid trips."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield ``event_id`` and the trip's columns, always in the same order."""


@dataclass(frozen=True, slots=True)
class MonthSource:
    """A month's trips, and what they are called.

    Args:
        month: The month.
        kind: ``tlc_file`` or ``synthetic``.
        trips: The trips.
        name: The file's name, or a description of the synthetic trips.
        content: The part of the version that stands for the content.
        seed: The seed; None with a file.
        confirm: Raises LandingError or TripFileError unless the landing zone is still as it was when the source was
            chosen; does nothing if the choice did not depend on it.
    """

    month: Month
    kind: SourceKind
    trips: Trips
    name: str
    content: str
    seed: int | None
    confirm: Callable[[], None]

    @property
    def version(self) -> str:
        """The text that identifies this version of the month; every event carries it."""
        return f"{self.content}.{hash_of_schema(AVRO_SCHEMA)}"

    def describe(self, *, schema_id: int, topic: str, topic_id: str) -> MonthVersion:
        """Return the version that is sent with a schema to a topic.

        Args:
            schema_id: Id of the events' schema.
            topic: The topic of the events.
            topic_id: Its id.

        Returns:
            The version.
        """
        return MonthVersion(
            month=str(self.month),
            source=self.kind,
            source_version=self.version,
            source_name=self.name,
            sha256=self.trips.sha256,
            seed=self.seed,
            events=self.trips.events,
            schema_id=schema_id,
            topic=topic,
            topic_id=topic_id,
        )


def open_source(request: ProduceRequest, folder: Path) -> MonthSource:
    """Choose the source of the month's trips, and check it as a whole.

    Args:
        request: The step's request.
        folder: An empty folder for the copy of a file.

    Returns:
        The source.

    Raises:
        LandingError: The landing zone cannot be read.
        TripFileMissingError: The month has no file, and synthetic trips were not asked for.
        TripFileError: The file cannot be sent as a whole.
    """
    extras, month = request.extras, request.month
    if extras.source != "synthetic":
        landing = _landing_zone(request)
        landed = landing.find(month)
        if landed is not None:
            return _open_file(month, landing.download(landed, folder), partial(landing.confirm, month, landed))
        if extras.source == "file":
            raise TripFileMissingError(
                f"there is no file of {month}",
                expected=" or ".join(f"yellow_tripdata_{month}{suffix}" for suffix in SUFFIXES),
                got="none of them",
                where=landing.url,
                todo="land the file with `make land DATA=folder`, or ask for source synthetic",
            )
        _log.info("there is no file of %s in %s: the month is synthesised", month, landing.url)
        return _synthesise(month, extras, partial(landing.confirm, month, None))
    return _synthesise(month, extras, lambda: None)


def refuse_replacement(
    choice: SourceChoice, source: MonthSource, current: CurrentVersion | None, file_before: str | None
) -> None:
    """Check that synthetic trips replace those of a file only if they were asked for by name.

    Args:
        choice: The source that the step asks for.
        source: The source that was found.
        current: The month's current version.
        file_before: The file whose trips the month holds, as the host remembers it: a broker that was lost and
            replaced knows nothing of a month that is still in the lake.

    Raises:
        SyntheticRefusedError: They would.
    """
    if choice != "file_or_synthetic" or source.kind != "synthetic":
        return
    if current is None:
        file, where = file_before, "as Dagster remembers it; the topic of month versions has no record of the month"
    else:
        file = current.source_name if current.source == "tlc_file" else None
        where = f"version {current.source_version} of {current.completed_at}"
    if file is not None:
        raise SyntheticRefusedError(
            f"{source.month} holds the trips of a file, which synthetic ones would replace",
            expected=f"the file {file} in the landing zone",
            got="no file of the month",
            where=where,
            todo="land the file with `make land DATA=folder`; to replace its trips, ask for source synthetic",
        )


def _landing_zone(request: ProduceRequest) -> LandingZone:
    environment = request.environment
    return LandingZone(
        environment.landing_url,
        endpoint=environment.s3_endpoint,
        region=environment.s3_region,
        access_key_id=environment.landing_access_key_id.get_secret_value(),
        secret_access_key=environment.landing_secret_access_key.get_secret_value(),
    )


def _open_file(month: Month, file: DownloadedFile, confirm: Callable[[], None]) -> MonthSource:
    trips = TripFile(month, file.path, where=file.where)
    if trips.unknown_columns:
        columns = ", ".join(f"{name} ({count} values)" for name, count in trips.unknown_columns.items())
        _log.warning("%s has unknown columns, kept in unknown_columns: %s", file.where, columns)
    return MonthSource(month, "tlc_file", trips, file.name, f"sha256-{trips.sha256[:HASH_DIGITS]}", None, confirm)


def _synthesise(month: Month, extras: ProduceExtras, confirm: Callable[[], None]) -> MonthSource:
    if extras.events is None or extras.seed is None:
        raise TypeError("a synthetic month without events or seed")  # the request was checked
    trips = SyntheticTrips(month, seed=extras.seed, events=extras.events)
    name = f"synthetic, seed {extras.seed}, {extras.events} events"
    content = f"seed-{extras.seed}-events-{extras.events}"
    return MonthSource(month, "synthetic", trips, name, content, extras.seed, confirm)
