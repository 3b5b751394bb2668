"""The topic as a consumer of the tests' own reads it."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

TOPIC = "taxi.raw_trips"


def topic_id(address: str) -> str:
    """Return the id of the topic as it is now, written as Kafka's own tools and Flink do: base64 for URLs."""
    admin = AdminClient({"bootstrap.servers": address})  # a client that is not kept answers nothing
    topic = admin.describe_topics(TopicCollection([TOPIC]))[TOPIC].result(30)
    return str(topic.topic_id).translate(str.maketrans("+/", "-_"))


def committed_records(address: str) -> Iterator[Message]:
    """Read each committed record that the topic holds.

    Raises:
        TimeoutError: The broker does not answer.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "end-to-end-tests",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in partitions])
        ended: set[int | None] = set()
        while len(ended) < len(partitions):
            message = consumer.poll(10)
            if message is None:
                text = f"no record and no end of partition within 10 s; ended: {sorted(map(str, ended))}"
                raise TimeoutError(text)
            if message.error():
                ended.add(message.partition())
            else:
                yield message
    finally:
        consumer.close()
