import pytest
from conftest import MOCK_PARTITIONS, TOPIC, MockKafka

from generator.errors import TopicError
from generator.topics import TopicReport, create_topic


@pytest.mark.parametrize("asked", [MOCK_PARTITIONS, MOCK_PARTITIONS - 1])
def test_an_existing_topic_with_enough_partitions_is_left_as_it_is(kafka: MockKafka, asked: int) -> None:
    """Partitions may have been added to a topic."""
    report = create_topic(kafka.broker, TOPIC, asked)
    assert report == TopicReport(topics_created=0, topics_existing=1, partitions=MOCK_PARTITIONS)


def test_a_topic_with_too_few_partitions_is_an_error_with_both_numbers(kafka: MockKafka) -> None:
    """Adding some silently would move keys between partitions."""
    with pytest.raises(TopicError, match=f"{TOPIC} has too few partitions.*expected 5 or more; got 4"):
        create_topic(kafka.broker, TOPIC, 5)


def test_a_broker_that_does_not_create_the_topic_is_reported(kafka: MockKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mock cluster cannot create topics; end-to-end tests cover the success."""
    monkeypatch.setattr("generator.topics.ANSWER_TIMEOUT_S", 0.5)
    with pytest.raises(TopicError, match=r"topic new could not be created.*to do:"):
        create_topic(kafka.broker, "new", 3)
