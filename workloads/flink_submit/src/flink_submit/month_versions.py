"""The current version of a month: what of bronze belongs into silver, by the record of the topic of month versions."""

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flink_submit.errors import TopicError
from flink_submit.topic import Topic


class CurrentVersion(BaseModel):
    """The record of a month's current version, of which all events are committed.

    Args:
        month: The month, ``yyyy-MM``.
        source: Kind of source.
        source_version: Identifies content and schema; each event of the version has it.
        source_name: Name of the source, for people.
        events: Number of events of the version, its own repeats included.
        topic: Name of the topic that holds the events.
        topic_id: Id of that topic.
        offsets: For each partition of it, the first and the last offset of the version's events.
    """

    # The record tells more, which silver does not need.
    model_config = ConfigDict(frozen=True, extra="ignore")

    month: str
    source: Literal["tlc_file", "synthetic"]
    source_version: str = Field(pattern=r"^[\w.-]+$")  # it is written into SQL
    source_name: str = Field(min_length=1)
    events: int = Field(ge=0)
    topic: str
    topic_id: str
    offsets: dict[int, tuple[int, int]]


def read_current_version(versions: Topic, month: str, report_wait: Callable[[int], None]) -> CurrentVersion:
    """Read which version of a month is the current one: the last record of the month, which is its key.

    Keys such as ``2019-01/sending`` are notes of the generator to itself.

    Args:
        versions: The topic of month versions.
        month: The month, ``yyyy-MM``.
        report_wait: Called while a transaction that may hold a record of the month is undecided.

    Returns:
        The version.

    Raises:
        TopicError: The topic is missing, the month has no record, or one that this step does not understand.
        ServiceError: The broker does not answer.
    """
    current: bytes | None = None
    for key, value in versions.committed_records(report_wait):
        if key == month.encode():
            current = value
    if current is None:
        raise TopicError(
            f"Topic {versions.name} has no record of {month}: no version of the month was sent completely. Materialize "
            f"generate_events and bronze/raw_trips of {month} first, then this partition again. A month that was sent "
            "before months had versions must be sent once more."
        )
    try:
        version = CurrentVersion.model_validate_json(current)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise _misunderstood(versions, month, faults, current) from error
    if version.month != month:
        raise _misunderstood(versions, month, f"its month is {version.month}", current)
    return version


def _misunderstood(versions: Topic, month: str, faults: str, record: bytes) -> TopicError:
    return TopicError(
        f"The record of {month} in topic {versions.name} is not understood: {faults}; it is {record[:300]!r}. Build "
        f"the images from one revision, then materialize generate_events and bronze/raw_trips of {month} again."
    )
