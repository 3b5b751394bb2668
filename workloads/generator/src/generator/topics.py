"""The command ``topics``: create the pipeline's topics if they do not exist."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]  # not in its __all__
from confluent_kafka.cimpl import NewTopic
from dagster_pipes import PipesContext

from generator.broker import ANSWER_TIMEOUT_S, METADATA_WAIT_S, Broker
from generator.errors import TopicError
from generator.request import read_topics_request

TOPIC_SETTINGS: Final = {
    # Kept for ever: a month is sent once, may be ingested much later, and bronze can be rebuilt from it. A retention,
    # which limits the disk space, would also set a deadline for ingestion.
    "retention.ms": "-1",
    "retention.bytes": "-1",
}
VERSIONS_SETTINGS: Final = {
    # The last record of each key is kept for ever, and former ones go.
    "cleanup.policy": "compact",
}
VERSIONS_PARTITIONS: Final = 1
"""Records in one partition have one order."""

BROKERS_OWN_REPLICATION: Final = -1
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """The result of the command.

    Args:
        topics_created: Number of topics that this step created, 0 to 2.
        topics_existing: Number of topics that existed before, 0 to 2.
        partitions: Number of partitions of the topic of events now.
    """

    topics_created: int
    topics_existing: int
    partitions: int


def run_topics(pipes: PipesContext) -> None:
    """Create the topics that the step asks for, and report the result."""
    request = read_topics_request(pipes)
    extras = request.extras
    report = create_topics(
        Broker(request.environment.kafka_bootstrap_servers), extras.topic, extras.partitions, extras.versions_topic
    )
    pipes.report_asset_materialization(metadata=asdict(report))


def create_topics(broker: Broker, topic: str, partitions: int, versions_topic: str) -> TopicsReport:
    """Create the topics that do not exist.

    Args:
        broker: The broker.
        topic: Name of the topic of events.
        partitions: Number of its partitions if it is new, 1 or more. An existing topic may have more, because
            partitions may have been added to it. It may not have fewer: adding them here would move keys between
            partitions, which needs a deliberate decision.
        versions_topic: Name of the topic of month versions, which is compacted and has one partition.

    Returns:
        The result.

    Raises:
        TopicError: An existing topic differs, or the broker refuses to create one.
        BrokerError: The broker does not answer.
    """
    existing = broker.partition_counts(broker.admin)
    events_created = topic not in existing and _create(broker, topic, partitions, TOPIC_SETTINGS)
    versions_created = versions_topic not in existing and _create(
        broker, versions_topic, VERSIONS_PARTITIONS, VERSIONS_SETTINGS
    )
    found = partitions if events_created else _count_partitions(broker, topic, existing)
    if found < partitions:
        raise TopicError(
            f"topic {topic} has too few partitions",
            expected=f"{partitions} or more",
            got=str(found),
            where=f"broker {broker.address}",
            todo="add partitions to the topic, or ask for as many as it has",
        )
    if not versions_created:
        _check_versions(broker, versions_topic, _count_partitions(broker, versions_topic, existing))
    created = events_created + versions_created
    return TopicsReport(topics_created=created, topics_existing=2 - created, partitions=found)


def _count_partitions(broker: Broker, topic: str, known: Mapping[str, int]) -> int:
    """Return the number of partitions of a topic.

    Another client may have created it just now: a broker refuses to create it again before it lists it.
    """
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while not (count := known.get(topic)):
        if time.monotonic() > deadline:
            raise TopicError(
                f"topic {topic} is not listed",
                expected=f"an existing topic in the list of topics within {ANSWER_TIMEOUT_S:g} s",
                got="none of this name",
                where=f"broker {broker.address}",
                todo="run the step again; if that does not help, read the broker's log",
            )
        time.sleep(_POLL_S)
        known = broker.partition_counts(broker.admin)
    return count


def _check_versions(broker: Broker, topic: str, partitions: int) -> None:
    """Check that an existing topic keeps the last record of each month, in order."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    settings = broker.request(
        lambda: broker.admin.describe_configs([resource], request_timeout=METADATA_WAIT_S)[resource],
        f"the settings of topic {topic} cannot be read",
    )
    policy = settings["cleanup.policy"].value
    if policy == VERSIONS_SETTINGS["cleanup.policy"] and partitions == VERSIONS_PARTITIONS:
        return
    raise TopicError(
        f"topic {topic} cannot hold month versions",
        expected=f"cleanup.policy {VERSIONS_SETTINGS['cleanup.policy']} and {VERSIONS_PARTITIONS} partition",
        got=f"cleanup.policy {policy} and {partitions} partitions",
        where=f"broker {broker.address}",
        todo="if another program uses the topic, choose another name for versions_topic; otherwise delete it, "
        "materialize kafka_topics, and send the months again",
    )


def _create(broker: Broker, topic: str, partitions: int, settings: dict[str, str]) -> bool:
    """Create a topic.

    Returns:
        False if another client created it first, otherwise True.
    """
    new_topic = NewTopic(topic, partitions, BROKERS_OWN_REPLICATION, config=settings)
    creation = broker.admin.create_topics([new_topic], request_timeout=ANSWER_TIMEOUT_S)[topic]
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
