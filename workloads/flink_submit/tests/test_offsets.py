import pytest

from flink_submit.errors import TopicError
from flink_submit.offsets import (
    IngestPlan,
    PartitionBounds,
    TopicBounds,
    check_nothing_lost_since,
    format_offsets,
    plan_ingest,
)


def bounds(topic_id: str = "topic", **partitions: tuple[int, int]) -> TopicBounds:
    """Return the bounds of a topic, ``p0=(first, stable end)``."""
    held = {int(name[1:]): PartitionBounds(*limits) for name, limits in partitions.items()}
    return TopicBounds("taxi.raw_trips", topic_id, held)


def test_reads_everything_when_the_table_is_empty() -> None:
    """The first run starts at the first offset that the broker still has."""
    plan = plan_ingest(bounds(p0=(0, 10), p1=(5, 5), p2=(3, 8)), {})
    assert plan == IngestPlan("topic", {0: 0, 1: 5, 2: 3}, {0: 10, 1: 5, 2: 8})
    assert plan.span == 15


def test_goes_on_where_the_table_stopped() -> None:
    """Each record is read once."""
    plan = plan_ingest(bounds(p0=(0, 10), p1=(0, 7)), {0: 10, 1: 4})
    assert (plan.starts, plan.span) == ({0: 10, 1: 4}, 3)


def test_reads_a_partition_that_was_added_from_its_beginning() -> None:
    """Partitions may be added to a topic at any time."""
    assert plan_ingest(bounds(p0=(0, 10), p1=(0, 7)), {0: 10}).starts == {0: 10, 1: 0}


def test_says_that_a_partition_that_was_added_lost_records_before_it_was_read() -> None:
    """All of its records were sent after bronze first read the topic."""
    with pytest.raises(TopicError, match="partition 1 begins at offset 2, bronze stopped before 0"):
        plan_ingest(bounds(p0=(0, 10), p1=(2, 7)), {0: 10})


def test_says_that_retention_took_records_that_bronze_lacks() -> None:
    """Lost records must never go unreported."""
    with pytest.raises(TopicError, match=r"taxi\.raw_trips .* partition 1 begins at offset 6, bronze stopped before 4"):
        plan_ingest(bounds(p0=(0, 10), p1=(6, 7)), {0: 10, 1: 4})


def test_accepts_retention_of_what_bronze_has() -> None:
    """If retention empties a topic after it was read, nothing is lost."""
    assert plan_ingest(bounds(p0=(10, 10)), {0: 10}).span == 0


def test_says_that_the_broker_holds_less_than_the_table() -> None:
    """A broker restored from an old copy would send old offsets with new records."""
    with pytest.raises(TopicError, match="partition 0 ends at offset 3, bronze stopped before 10"):
        plan_ingest(bounds(p0=(0, 3)), {0: 10})


def test_says_that_a_partition_is_gone() -> None:
    """Kafka never removes a partition from a topic of the same id."""
    with pytest.raises(TopicError, match=r"partitions \[1\] are in bronze but no longer in the topic"):
        plan_ingest(bounds(p0=(0, 3)), {0: 3, 1: 9})


def test_finds_nothing_lost_after_a_job_when_the_broker_still_holds_its_start() -> None:
    """Neither new records nor retention in a partition without unread records is a loss."""
    plan = plan_ingest(bounds(p0=(0, 10), p1=(4, 4)), {})
    check_nothing_lost_since(plan, bounds(p0=(0, 25), p1=(9, 12)))


@pytest.mark.parametrize(
    ("after", "finding"),
    [
        (bounds(p0=(1, 10)), "partition 0 begins at offset 1, but the job was to start at 0"),
        (bounds(p1=(0, 10)), "partition 0 is gone"),
        (bounds("another", p0=(0, 10)), "created again"),
    ],
)
def test_says_what_was_lost_while_a_job_read(after: TopicBounds, finding: str) -> None:
    """If the offset to start at is gone, Flink silently starts at the first one that exists."""
    plan = plan_ingest(bounds(p0=(0, 10)), {})
    with pytest.raises(TopicError, match=finding):
        check_nothing_lost_since(plan, after)


def test_writes_offsets_as_the_connector_takes_them() -> None:
    """The order is fixed, because the job's id is made from this text."""
    assert format_offsets({1: 7, 0: 42}) == "partition:0,offset:42;partition:1,offset:7"
