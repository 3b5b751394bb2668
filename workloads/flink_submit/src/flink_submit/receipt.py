"""Bronze held against the topic: offset by offset, by a reader of its own, not by what Flink says."""

from collections.abc import Mapping
from dataclasses import dataclass

from flink_submit.lake import Lake
from flink_submit.topic import Topic

_IN_TOPIC = 1
_IN_TABLE = 2
_MOST_MARK = 250  # fits a byte


@dataclass(frozen=True)
class Receipt:
    """What topic and table hold between the same offsets.

    Attributes:
        records: Committed records of the topic.
        offset_gaps: Offsets that are no record: ends of transactions, and what was aborted.
        rows_decoded: Rows of the table that are trips.
        rows_undecodable: Rows of the table that hold a record's bytes and why they could not be decoded.
        records_missing: Records without a row.
        rows_repeated: Rows beyond one for each record.
    """

    records: int
    offset_gaps: int
    rows_decoded: int
    rows_undecodable: int
    records_missing: int
    rows_repeated: int


def compare(topic: Topic, lake: Lake, table_name: str, topic_id: str, spans: Mapping[int, tuple[int, int]]) -> Receipt:
    """Reads the topic and the table between the same offsets, and marks what was seen; a byte an offset.

    Args:
        topic: The topic.
        lake: Where the table is.
        table_name: Table with the columns `kafka_topic_id`, `kafka_partition`, `kafka_offset`, `undecodable_reason`.
        topic_id: Id of the topic: rows of an earlier one of that name do not count.
        spans: For each partition the first offset, and the one after the last.

    Returns:
        The counts.
    """
    marks = {number: bytearray(end - start) for number, (start, end) in spans.items() if end > start}
    records = 0
    for number, offset in topic.committed_offsets(spans):
        marks[number][offset - spans[number][0]] |= _IN_TOPIC
        records += 1
    rows, undecodable = 0, 0
    first = min((spans[number][0] for number in marks), default=0)
    for number, offset, is_undecodable in lake.offsets(table_name, topic_id, at_least=first) if marks else ():
        start, end = spans.get(number, (0, 0))
        if start <= offset < end:
            mark = marks[number][offset - start]
            marks[number][offset - start] = min(mark + _IN_TABLE, _MOST_MARK)
            rows += 1
            undecodable += is_undecodable
    missing = sum(partition.count(_IN_TOPIC) for partition in marks.values())
    return Receipt(
        records=records,
        offset_gaps=sum(map(len, marks.values())) - records,
        rows_decoded=rows - undecodable,
        rows_undecodable=undecodable,
        records_missing=missing,
        rows_repeated=rows - (records - missing),
    )
