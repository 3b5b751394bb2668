import pytest
from confluent_kafka import KafkaError
from conftest import TOPIC, VERSIONS_TOPIC, MockKafka

from generator.broker import Broker
from generator.errors import BrokerError, DeliveryError, TopicError
from generator.sender import Acknowledgements, Sender

TOO_LARGE = b"x" * 2_000_000


def sender_of(kafka: MockKafka, topic: str = TOPIC, transactional_id: str = "test") -> Sender:
    """Return a sender to the mock broker."""
    return Sender(kafka.broker, topic, VERSIONS_TOPIC, transactional_id=transactional_id)


def test_what_is_counted_is_what_the_broker_holds(kafka: MockKafka) -> None:
    """An independent reader of the topic verifies counts and offsets."""
    keys = [f"key{number}".encode() for number in range(1000)]
    values = [f"value{number}".encode() for number in range(1000)]
    with sender_of(kafka) as sender, sender.transaction():
        sender.send(keys[:600], values[:600])
        sender.send(keys[600:], values[600:])
    assert sender.produced == sender.acknowledged.count == 1000
    assert (sender.transactions, sender.committed) == (1, 1000)
    assert sender.produced_bytes == sum(map(len, values))
    records = kafka.read_all()
    assert {(record.key(), record.value()) for record in records} == set(zip(keys, values, strict=True))
    offsets: dict[str, list[int]] = {}
    for record in records:
        offsets.setdefault(str(record.partition()), []).append(record.offset() or 0)
    assert sender.acknowledged.offsets == {key: (min(found), max(found)) for key, found in offsets.items()}


def test_offsets_go_on_over_transactions(kafka: MockKafka) -> None:
    """The range of a step spans all its transactions."""
    with sender_of(kafka) as sender:
        for _ in range(2):
            with sender.transaction():
                sender.send([b"same key"] * 3, [b"value"] * 3)
    ((first, last),) = sender.acknowledged.offsets.values()
    assert first == 0
    assert last >= 5
    assert sender.transactions == 2


def test_an_empty_transaction_is_not_counted(kafka: MockKafka) -> None:
    """At a slow rate most seconds have nothing to commit."""
    with sender_of(kafka) as sender, sender.transaction():
        pass
    assert sender.transactions == 0


def test_a_message_that_is_refused_aborts_and_ends_the_step(kafka: MockKafka) -> None:
    """A message that the client itself refuses never gets a delivery report."""
    with (
        sender_of(kafka) as sender,
        pytest.raises(DeliveryError, match=r"aborted.*topic taxi.raw_trips.*too large.*to do:"),
        sender.transaction(),
    ):
        sender.send([b"a", b"b"], [b"small", TOO_LARGE])
    assert sender.transactions == 0


def test_an_error_while_sending_aborts_the_transaction_and_stays_the_error(kafka: MockKafka) -> None:
    """The clean-up must not hide the error that caused it."""

    def fail_half_way() -> None:
        with sender.transaction():
            sender.send([b"a"], [b"b"])
            raise LookupError("bad row")

    with sender_of(kafka) as sender, pytest.raises(LookupError, match="bad row"):
        fail_half_way()
    assert (sender.transactions, sender.committed) == (0, 0)


def test_a_delivery_report_with_an_error_counts_nothing() -> None:
    """The first error is the cause, and the others are its consequences."""
    acknowledged = Acknowledgements()
    first, second = KafkaError(KafkaError.NOT_ENOUGH_REPLICAS), KafkaError(KafkaError.REQUEST_TIMED_OUT)
    acknowledged.record(first, None)  # type: ignore[arg-type]  # the message of a failure is not used
    acknowledged.record(second, None)  # type: ignore[arg-type]  # as above
    assert acknowledged.count == 0
    assert acknowledged.failure is first
    assert acknowledged.offsets == {}


def test_a_failed_delivery_ends_the_next_call(kafka: MockKafka) -> None:
    """A lost event must not go unnoticed until the end of the month."""
    with sender_of(kafka) as sender:
        sender.acknowledged.record(KafkaError(KafkaError.NOT_ENOUGH_REPLICAS), None)  # type: ignore[arg-type]  # as above
        with pytest.raises(DeliveryError, match="Not enough in-sync replicas"), sender.transaction():
            sender.send([b"a"], [b"b"])


def test_a_missing_topic_is_an_error_that_says_what_to_materialize(kafka: MockKafka) -> None:
    """This is the most common mistake of a first run."""
    with pytest.raises(TopicError, match=r"topic nowhere does not exist.*kafka_topics"), sender_of(kafka, "nowhere"):
        pass


def test_a_missing_topic_of_versions_is_an_error_too(kafka: MockKafka) -> None:
    """A stack of an earlier version has only the topic of events."""
    sender = Sender(kafka.broker, TOPIC, "nowhere", transactional_id="test")
    with pytest.raises(TopicError, match=r"topic nowhere does not exist.*kafka_topics"), sender:
        pass


def test_records_are_settled_before_the_commit_and_counted_as_no_events(kafka: MockKafka) -> None:
    """The numbers of events are compared with the source's."""
    with sender_of(kafka) as sender, sender.transaction():
        sender.send([b"a"], [b"b"])
        sender.settle()
        assert sender.acknowledged.offsets.keys() <= {"0", "1", "2", "3"}
        sender.send_record(b"2024-01", b"{}")
        sender.send_record(b"2024-01/sending", None)
    assert (sender.produced, sender.acknowledged.count, sender.committed, sender.produced_bytes) == (1, 1, 1, 1)
    records = kafka.read_all(VERSIONS_TOPIC)
    assert [(r.partition(), r.key(), r.value()) for r in records] == [
        (0, b"2024-01", b"{}"),
        (0, b"2024-01/sending", None),
    ]


def test_a_record_that_is_refused_aborts_the_transaction(kafka: MockKafka) -> None:
    """Events without their record would be sent again, and never be valid."""
    with sender_of(kafka) as sender, pytest.raises(DeliveryError, match="too large"), sender.transaction():
        sender.send_record(b"2024-01", TOO_LARGE)
    assert sender.committed == 0


def test_a_broker_that_is_down_is_named_with_the_reason_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the address, and the reason of the last attempt to connect."""
    monkeypatch.setattr("generator.broker.ANSWER_TIMEOUT_S", 0.5)
    broker = Broker("127.0.0.1:1")
    with (
        pytest.raises(BrokerError, match=r"broker 127.0.0.1:1.*refused.*to do: look at the broker's container"),
        Sender(broker, TOPIC, VERSIONS_TOPIC, transactional_id="test"),
    ):
        pass
