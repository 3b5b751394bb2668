"""The offsets that a job has to read: pure arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass

from flink_submit.errors import TopicError


@dataclass(frozen=True)
class PartitionBounds:
    """The offsets that the broker holds of one partition, from ``first`` up to but not including ``stable_end``.

    Args:
        first: The first offset that retention has not deleted.
        stable_end: The last stable offset: everything before it is committed or aborted.
    """

    first: int
    stable_end: int


@dataclass(frozen=True)
class TopicBounds:
    """The offsets that the broker holds of a topic.

    Args:
        name: The topic's name.
        topic_id: The topic's id.
        partitions: The offsets of each partition, by its number.
    """

    name: str
    topic_id: str
    partitions: Mapping[int, PartitionBounds]


@dataclass(frozen=True)
class IngestPlan:
    """The offsets to read of each partition.

    Args:
        topic_id: The topic's id.
        starts: The first offset to read, by partition.
        ends: The offset after the last one to read, by partition.
    """

    topic_id: str
    starts: Mapping[int, int]
    ends: Mapping[int, int]

    @property
    def span(self) -> int:
        """Number of offsets to read: an upper bound of the records, because transactions leave gaps."""
        return sum(self.ends[partition] - start for partition, start in self.starts.items())


def plan_ingest(bounds: TopicBounds, ingested_ends: Mapping[int, int]) -> IngestPlan:
    """Plan which offsets to read next.

    Args:
        bounds: The offsets that the broker holds.
        ingested_ends: For each partition of this topic that was read before, the offset after the last one; a
            partition added since then is read from offset 0. Empty for a topic that is read for the first time, from
            the first offset that retention has left.

    Returns:
        The plan.

    Raises:
        TopicError: The broker no longer holds records that the table lacks, or holds less than the table.
    """
    starts, ends = {}, {}
    for partition, held in sorted(bounds.partitions.items()):
        start = ingested_ends.get(partition, 0 if ingested_ends else held.first)
        if held.first > start:
            raise _lost(bounds, f"partition {partition} begins at offset {held.first}, bronze stopped before {start}")
        if held.stable_end < start:
            raise _lost(
                bounds, f"partition {partition} ends at offset {held.stable_end}, bronze stopped before {start}"
            )
        starts[partition], ends[partition] = start, held.stable_end
    missing = sorted(ingested_ends.keys() - bounds.partitions.keys())
    if missing:
        raise _lost(bounds, f"partitions {missing} are in bronze but no longer in the topic")
    return IngestPlan(bounds.topic_id, starts, ends)


def check_nothing_lost_since(plan: IngestPlan, bounds: TopicBounds) -> None:
    """Raise if the broker lost records while a job read them.

    If the offset that Flink should start at is gone, Flink silently starts at the first offset that exists.

    Args:
        plan: The offsets that the job should have read.
        bounds: The offsets that the broker holds after the job.

    Raises:
        TopicError: The topic was replaced, or retention deleted records from the start on.
    """
    if bounds.topic_id != plan.topic_id:
        raise _lost(
            bounds, f"the topic was deleted and created again (id {plan.topic_id} before) while the job read it"
        )
    for partition, start in plan.starts.items():
        held = bounds.partitions.get(partition)
        if held is None or (held.first > start and plan.ends[partition] > start):
            found = "is gone" if held is None else f"begins at offset {held.first}"
            raise _lost(bounds, f"partition {partition} {found}, but the job was to start at {start}")


def format_offsets(offsets: Mapping[int, int]) -> str:
    """Return the offsets in the form of Flink's Kafka connector: ``partition:0,offset:42;partition:1,offset:7``."""
    return ";".join(f"partition:{partition},offset:{offset}" for partition, offset in sorted(offsets.items()))


def _lost(bounds: TopicBounds, finding: str) -> TopicError:
    return TopicError(
        f"Records of topic {bounds.name} (id {bounds.topic_id}) are lost: {finding}. Expected the broker to hold "
        "everything from where bronze.raw_trips stopped. Raise the topic's retention, delete the topic and create it "
        "again, and send the months concerned again: bronze then reads the new topic from its beginning."
    )
