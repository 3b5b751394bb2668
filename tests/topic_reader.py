"""The topics, read by a consumer that belongs to the tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

TOPIC = "taxi.raw_trips"
VERSIONS_TOPIC = "taxi.month_versions"


def topic_id(address: str) -> str:
    """Return the current topic's id in URL-safe base64, as Kafka's own tools and Flink write it."""
    admin = AdminClient({"bootstrap.servers": address})  # kept in a variable: a client that is collected never answers
    topic = admin.describe_topics(TopicCollection([TOPIC]))[TOPIC].result(30)
    return str(topic.topic_id).translate(str.maketrans("+/", "-_"))


def version_records(address: str, month: str) -> dict[str, Any]:
    """Return what the topic of versions says of a month, by key: the month, and `<month>/sending`.

    A key that was removed is left out.
    """
    latest: dict[str, bytes | None] = {}
    for message in committed_records(address, VERSIONS_TOPIC):
        latest[(message.key() or b"").decode()] = message.value()
    keys = (month, f"{month}/sending")
    return {key: json.loads(value) for key in keys if (value := latest.get(key)) is not None}


def committed_records(address: str, topic: str = TOPIC) -> Iterator[Message]:
    """Read each committed record that a topic holds.

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
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
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
