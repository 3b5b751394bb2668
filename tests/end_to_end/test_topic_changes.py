"""The topic changes under the pipeline: it continues correctly or fails clearly, and never loses data silently.

The tests build on one another: the third starts afresh after the second has lost records for good.
"""

from __future__ import annotations

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions
from stack import Stack, wait_until
from topic_reader import TOPIC

pytestmark = pytest.mark.stack

MONTH = "2014-08"
EVENTS = 400
INGEST = ("--events", str(EVENTS), "--select", "kafka_topics,generate_events,bronze/raw_trips,silver/cleaned_trips")


def test_added_partitions_are_read_from_their_beginning(stack: Stack) -> None:
    """Keys move between partitions, and each record still arrives once."""
    first = stack.launch(MONTH, *INGEST)
    assert first.exit_code == 0, first.output
    before, rows = stack.committed_offsets(), stack.table_rows("silver.cleaned_trips", MONTH)
    partitions = 1 + max(partition for partition, _ in before)
    admin = stack.kafka_admin()
    admin.create_partitions([NewPartitions(TOPIC, partitions + 1)])[TOPIC].result(30)
    second = stack.launch(MONTH, *INGEST)
    assert second.exit_code == 0, second.output
    after = stack.committed_offsets()
    assert any(partition == partitions for partition, _ in after)
    assert sorted(stack.ingested_offsets()) == sorted(after)
    assert stack.table_rows("silver.cleaned_trips", MONTH) == rows


def test_records_lost_to_retention_fail_the_step_and_are_named(stack: Stack) -> None:
    """Records that are lost before bronze read them are never a success, however often it is tried."""
    sent = stack.launch(MONTH, "--events", str(EVENTS), "--select", "generate_events")
    assert sent.exit_code == 0, sent.output
    partitions = {partition for partition, _ in stack.committed_offsets()}
    everything = [TopicPartition(TOPIC, partition, -1) for partition in partitions]
    admin = stack.kafka_admin()
    for done in admin.delete_records(everything).values():
        done.result(30)
    for _ in range(2):
        red = stack.launch(MONTH, "--select", "bronze/raw_trips")
        assert red.exit_code != 0
        assert "are lost" in red.output


def test_a_recreated_topic_is_read_from_its_beginning(stack: Stack) -> None:
    """Offsets start over, and rows of the old topic do not change."""
    old = len(stack.table_rows("bronze.raw_trips", MONTH))
    rows = stack.table_rows("silver.cleaned_trips", MONTH)
    admin = stack.kafka_admin()
    admin.delete_topics([TOPIC])[TOPIC].result(30)
    wait_until(lambda: TOPIC not in admin.list_topics(timeout=10).topics, what=f"{TOPIC} deleted", timeout_s=60)
    green = stack.launch(MONTH, *INGEST)
    assert green.exit_code == 0, green.output
    assert sorted(stack.ingested_offsets()) == sorted(stack.committed_offsets())
    assert len(stack.committed_offsets()) == EVENTS
    assert len(stack.table_rows("bronze.raw_trips", MONTH)) == old + EVENTS
    assert stack.table_rows("silver.cleaned_trips", MONTH) == rows
