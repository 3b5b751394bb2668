"""The command ``topics``: create the pipeline's topic if it does not exist."""

from dataclasses import asdict, dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from dagster_pipes import PipesContext

from generator.broker import ANSWER_TIMEOUT_S, Broker
from generator.errors import TopicError
from generator.request import read_topics_request

TOPIC_SETTINGS: Final = {
    # Kept for ever: a month is sent once, may be ingested much later, and bronze can be rebuilt from it. A retention,
    # which limits the disk space, would also set a deadline for ingestion.
    "retention.ms": "-1",
    "retention.bytes": "-1",
}
BROKERS_OWN_REPLICATION: Final = -1


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The result of the command.

    Args:
        topics_created: Number of topics that this step created, 0 or 1.
        topics_existing: Number of topics that existed before, 0 or 1.
        partitions: Number of partitions of the topic now.
    """

    topics_created: int
    topics_existing: int
    partitions: int


def run_topics(pipes: PipesContext) -> None:
    """Create the topic that the step asks for, and report the result."""
    request = read_topics_request(pipes)
    broker = Broker(request.environment.kafka_bootstrap_servers)
    report = create_topic(broker, request.extras.topic, request.extras.partitions)
    pipes.report_asset_materialization(metadata=asdict(report))


def create_topic(broker: Broker, topic: str, partitions: int) -> TopicReport:
    """Create a topic if it does not exist.

    Args:
        broker: The broker.
        topic: The topic's name.
        partitions: Number of partitions of a new topic, 1 or more. An existing topic may have more, because partitions
            may have been added to it. It may not have fewer: adding them here would move keys between partitions,
            which needs a deliberate decision.

    Returns:
        The result.

    Raises:
        TopicError: The topic has fewer partitions, or the broker refuses to create it.
        BrokerError: The broker does not answer.
    """
    admin = AdminClient(broker.settings())
    existing = broker.partition_counts(admin).get(topic)
    if existing is None and _create(broker, admin, topic, partitions):
        return TopicReport(topics_created=1, topics_existing=0, partitions=partitions)
    found = existing or broker.partition_counts(admin)[topic]
    if found < partitions:
        raise TopicError(
            f"topic {topic} has too few partitions",
            expected=f"{partitions} or more",
            got=str(found),
            where=f"broker {broker.address}",
            todo="add partitions to the topic, or ask for as many as it has",
        )
    return TopicReport(topics_created=0, topics_existing=1, partitions=found)


def _create(broker: Broker, admin: AdminClient, topic: str, partitions: int) -> bool:
    """Create the topic.

    Returns:
        False if another client created it first, otherwise True.
    """
    new_topic = NewTopic(topic, partitions, BROKERS_OWN_REPLICATION, config=TOPIC_SETTINGS)
    creation = admin.create_topics([new_topic], request_timeout=ANSWER_TIMEOUT_S)[topic]
    try:
        creation.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise TopicError(
            f"topic {topic} could not be created",
            expected=f"a topic with {partitions} partitions",
            got=error.args[0].str(),
            where=f"broker {broker.address}",
            todo="read the broker's log; the topic's name, the number of partitions or the broker's limits may be the "
            "reason",
        ) from error
    return True
