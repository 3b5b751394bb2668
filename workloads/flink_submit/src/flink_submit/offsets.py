"""Which offsets a job has to read: arithmetic only."""

from collections.abc import Mapping
from dataclasses import dataclass

from flink_submit.errors import TopicError


@dataclass(frozen=True)
class PartitionBounds:
    """What the broker holds of one partition: from `first` up to, and without, `stable_end`.

    Attributes:
        first: First offset that retention has left.
        stable_end: Last stable offset: everything before it is committed or aborted.
    """

    first: int
    stable_end: int


@dataclass(frozen=True)
class TopicBounds:
    """What the broker holds of a topic, by number of partition."""

    name: str
    topic_id: str
    partitions: Mapping[int, PartitionBounds]


@dataclass(frozen=True)
class IngestPlan:
    """From where to where each partition is read; the end is exclusive."""

    topic_id: str
    starts: Mapping[int, int]
    ends: Mapping[int, int]

    @property
    def span(self) -> int:
        """Number of offsets to read: the most records there can be, for transactions leave gaps."""
        return sum(self.ends[partition] - start for partition, start in self.starts.items())


def plan_ingest(bounds: TopicBounds, ingested_ends: Mapping[int, int]) -> IngestPlan:
    """Decides what is new in the topic.

    Args:
        bounds: What the broker holds.
        ingested_ends: For each partition of this very topic that was read before, the offset after the last; a
            partition added since then is read from offset 0. Empty for a topic that is read for the first time, which
            begins with what retention has left.

    Raises:
        TopicError: Records that the table lacks are gone from the broker, or the broker holds less than the table.
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
        raise _lost(bounds, f"partitions {missing} are in bronze and no longer in the topic")
    return IngestPlan(bounds.topic_id, starts, ends)


def check_nothing_lost_since(plan: IngestPlan, bounds: TopicBounds) -> None:
    """Makes sure that the broker held everything while a job read it.

    Flink starts at the first offset there is when the one it was given is gone, and says nothing.

    Args:
        plan: What the job was to read.
        bounds: What the broker holds after the job.

    Raises:
        TopicError: The topic was replaced, or its retention went past the start.
    """
    if bounds.topic_id != plan.topic_id:
        raise _lost(bounds, f"the topic was deleted and made anew ({plan.topic_id} before) while the job read it")
    for partition, start in plan.starts.items():
        held = bounds.partitions.get(partition)
        if held is None or (held.first > start and plan.ends[partition] > start):
            found = "is gone" if held is None else f"begins at offset {held.first}"
            raise _lost(bounds, f"partition {partition} {found}, and the job was to start at {start}")


def format_offsets(offsets: Mapping[int, int]) -> str:
    """Returns the offsets as Flink's Kafka connector takes them: `partition:0,offset:42;partition:1,offset:7`."""
    return ";".join(f"partition:{partition},offset:{offset}" for partition, offset in sorted(offsets.items()))


def _lost(bounds: TopicBounds, finding: str) -> TopicError:
    return TopicError(
        f"Records of topic {bounds.name} (id {bounds.topic_id}) are lost: {finding}. Expected the broker to hold "
        "everything from where bronze.raw_trips stopped. Raise the topic's retention, and send the months concerned "
        "again to a topic made anew: bronze then goes on from its beginning."
    )
