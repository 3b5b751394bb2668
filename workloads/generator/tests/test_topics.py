import uuid
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # not in its __all__
from confluent_kafka.cimpl import NewTopic
from conftest import TOPIC, VERSIONS_TOPIC, MockKafka
from containers import RealKafka

from generator.broker import Broker
from generator.errors import TopicError
from generator.topics import TopicsReport, create_topics


@pytest.fixture
def prefix() -> str:
    """The start of the names of this test's topics."""
    return uuid.uuid4().hex[:8]


def create(kafka: RealKafka, topic: str, partitions: int, **settings: str) -> None:
    """Create a topic as another program would."""
    client = AdminClient({"bootstrap.servers": kafka.address})
    client.create_topics([NewTopic(topic, partitions, 1, config=settings)])[topic].result()


def settings_of(kafka: RealKafka, topic: str) -> dict[str, Any]:
    """Return a topic's settings."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    client = AdminClient({"bootstrap.servers": kafka.address})
    return {name: entry.value for name, entry in client.describe_configs([resource])[resource].result().items()}


def test_both_topics_are_created_once(real_kafka: RealKafka, prefix: str) -> None:
    """Events are kept for ever; of the records of versions the last one of each month."""
    names = f"{prefix}.events", f"{prefix}.versions"
    report = create_topics(real_kafka.broker, names[0], 3, names[1])
    assert report == TopicsReport(topics_created=2, topics_existing=0, partitions=3)
    again = create_topics(real_kafka.broker, names[0], 2, names[1])
    assert again == TopicsReport(topics_created=0, topics_existing=2, partitions=3)
    assert settings_of(real_kafka, names[0])["retention.ms"] == "-1"
    assert settings_of(real_kafka, names[0])["cleanup.policy"] == "delete"
    assert settings_of(real_kafka, names[1])["cleanup.policy"] == "compact"
    assert real_kafka.broker.partition_counts(real_kafka.broker.admin)[names[1]] == 1


def test_a_topic_that_exists_and_is_not_listed_yet_is_waited_for(
    real_kafka: RealKafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker lists a topic some time after it was created, and refuses to create it meanwhile."""
    names = f"{prefix}.events", f"{prefix}.versions"
    create_topics(real_kafka.broker, names[0], 3, names[1])
    lists, whole_list = iter(range(4)), Broker.partition_counts

    def late_list(broker: Broker, client: Any) -> dict[str, int]:
        listed = next(lists, None) is None
        return whole_list(broker, client) if listed else {}

    monkeypatch.setattr(Broker, "partition_counts", late_list)
    again = create_topics(real_kafka.broker, names[0], 3, names[1])
    assert again == TopicsReport(topics_created=0, topics_existing=2, partitions=3)


def test_a_topic_that_is_never_listed_is_an_error(
    real_kafka: RealKafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = f"{prefix}.events", f"{prefix}.versions"
    create_topics(real_kafka.broker, names[0], 3, names[1])
    monkeypatch.setattr(Broker, "partition_counts", lambda _broker, _client: {})
    monkeypatch.setattr("generator.topics.ANSWER_TIMEOUT_S", 5.0)
    with pytest.raises(TopicError, match=f"{names[0]} is not listed.*within 5 s.*to do:"):
        create_topics(real_kafka.broker, names[0], 3, names[1])


def test_the_topic_of_versions_is_added_to_a_stack_of_an_earlier_version(real_kafka: RealKafka, prefix: str) -> None:
    """That stack has only the topic of events."""
    create(real_kafka, f"{prefix}.events", 3)
    report = create_topics(real_kafka.broker, f"{prefix}.events", 3, f"{prefix}.versions")
    assert report == TopicsReport(topics_created=1, topics_existing=1, partitions=3)


@pytest.mark.parametrize(
    ("partitions", "policy", "message"),
    [
        (1, "delete", "got cleanup.policy delete and 1 partitions"),
        (1, "compact,delete", "got cleanup.policy compact,delete and 1 partitions"),
        (2, "compact", "got cleanup.policy compact and 2 partitions"),
    ],
)
def test_a_topic_that_would_lose_versions_is_refused(
    real_kafka: RealKafka, prefix: str, partitions: int, policy: str, message: str
) -> None:
    """With a retention the months would lose their versions after a week, and with them their trips."""
    create(real_kafka, f"{prefix}.versions", partitions, **{"cleanup.policy": policy})
    with pytest.raises(TopicError, match=rf"{prefix}.versions cannot hold.*{message}; to do: "):
        create_topics(real_kafka.broker, f"{prefix}.events", 3, f"{prefix}.versions")


def test_a_topic_with_too_few_partitions_is_an_error_with_both_numbers(kafka: MockKafka) -> None:
    """Adding some silently would move keys between partitions."""
    with pytest.raises(TopicError, match=f"{TOPIC} has too few partitions.*expected 5 or more; got 4"):
        create_topics(kafka.broker, TOPIC, 5, VERSIONS_TOPIC)


def test_a_broker_that_does_not_create_a_topic_is_reported(kafka: MockKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mock cluster cannot create topics."""
    monkeypatch.setattr("generator.topics.ANSWER_TIMEOUT_S", 0.5)
    with pytest.raises(TopicError, match=r"topic new could not be created.*to do:"):
        create_topics(kafka.broker, TOPIC, 4, "new")
