"""Compare bronze with the topic, offset by offset, with an independent reader instead of Flink's own counts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flink_submit.lake import Lake
from flink_submit.topic import Topic


@dataclass(frozen=True)
class Reconciliation:
    """What the topic and the table hold between the same offsets.

    Args:
        records: Committed records of the topic.
        offset_gaps: Offsets without a committed record: ends of transactions, and aborted records.
        rows_decoded: Rows of the table that are trips.
        rows_undecodable: Rows of the table that hold a record's bytes and the reason why it could not be decoded.
        records_missing: Records without a row.
        rows_repeated: Rows in excess of one for each record.
    """

    records: int
    offset_gaps: int
    rows_decoded: int
    rows_undecodable: int
    records_missing: int
    rows_repeated: int


def reconcile(
    topic: Topic, lake: Lake, table_name: str, topic_id: str, spans: Mapping[int, tuple[int, int]]
) -> Reconciliation:
    """Compare the topic and the table between the same offsets; takes two bytes of memory an offset.

    Args:
        topic: The topic.
        lake: The Iceberg tables.
        table_name: Table with the columns ``kafka_topic_id``, ``kafka_partition``, ``kafka_offset`` and
            ``undecodable_reason``.
        topic_id: Id of the topic; rows of an earlier topic of the same name do not count.
        spans: For each partition, the first offset and the offset after the last one.

    Returns:
        The counts.
    """
    in_topic = {number: np.zeros(end - start, np.bool_) for number, (start, end) in spans.items() if end > start}
    in_table = {number: np.zeros_like(marks) for number, marks in in_topic.items()}
    for number, offsets in topic.committed_offsets(spans):
        in_topic[number][offsets - spans[number][0]] = True
    rows, undecodable = 0, 0
    first = min((spans[number][0] for number in in_table), default=0)
    for batch in lake.offsets(table_name, topic_id, at_least=first) if in_table else ():
        for number, marks in in_table.items():
            start, end = spans[number]
            within = (batch.partitions == number) & (batch.offsets >= start) & (batch.offsets < end)
            marks[batch.offsets[within] - start] = True
            rows += int(np.count_nonzero(within))
            undecodable += int(np.count_nonzero(batch.undecodable & within))
    records = sum(int(np.count_nonzero(marks)) for marks in in_topic.values())
    missing = sum(int(np.count_nonzero(marks & ~in_table[number])) for number, marks in in_topic.items())
    return Reconciliation(
        records=records,
        offset_gaps=sum(map(len, in_topic.values())) - records,
        rows_decoded=rows - undecodable,
        rows_undecodable=undecodable,
        records_missing=missing,
        rows_repeated=rows - (records - missing),
    )
