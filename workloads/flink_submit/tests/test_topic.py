import pytest
from confluent_kafka import Uuid

from flink_submit.errors import ServiceError
from flink_submit.topic import Topic, to_topic_id


def test_names_the_broker_that_does_not_answer() -> None:
    """The client library itself would retry for ever."""
    topic = Topic("127.0.0.1:9", "taxi.raw_trips", request_timeout_s=0.2)
    with pytest.raises(ServiceError, match=r"broker at 127\.0\.0\.1:9 does not answer .*compose ps"):
        topic.read_bounds()


def test_writes_a_topic_id_as_kafkas_tools_do() -> None:
    """A person can then find bronze's topic id in the output of Kafka's tools."""
    assert str(Uuid(-7718411131406083837, -6079034306839396865)) == "lOKx+EoemQOrou6Bi2y9/w"
    assert to_topic_id(Uuid(-7718411131406083837, -6079034306839396865)) == "lOKx-EoemQOrou6Bi2y9_w"
