import pytest
from confluent_kafka import Uuid
from containers import RealKafka

from generator.broker import spell_topic_id
from generator.errors import BrokerError


def test_the_id_of_a_topic_is_spelled_as_in_bronze() -> None:
    """Silver and the auditor compare both."""
    uuid = Uuid(-5, -257)
    assert str(uuid) == "//////////v////////+/w"
    assert spell_topic_id(uuid) == "__________v________-_w"


def test_a_topic_that_is_missing_is_an_error(real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says so at once or after a while, and names the topic."""
    monkeypatch.setattr("generator.broker.ANSWER_TIMEOUT_S", 0.5)
    with pytest.raises(BrokerError, match=r"topic nowhere cannot be described .*Unknown topic"):
        real_kafka.broker.topic_id("nowhere")
    with pytest.raises(BrokerError, match=r"end of topic nowhere cannot be read"):
        real_kafka.broker.end_offset("nowhere", 0)
