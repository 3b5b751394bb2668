import pytest
from confluent_kafka import KafkaError
from conftest import TOPIC, MockKafka

from generator.broker import Broker
from generator.errors import BrokerError, DeliveryError, TopicError
from generator.sender import Acknowledgements, Sender

TOO_LARGE = b"x" * 2_000_000


def sender_of(kafka: MockKafka, topic: str = TOPIC, transactional_id: str = "test") -> Sender:
    """Return a sender to the mock broker."""
    return Sender(kafka.broker, topic, transactional_id=transactional_id, transaction_events=100)


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
    assert sender.acknowledged.offsets == {key: [min(found), max(found)] for key, found in offsets.items()}


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


def test_a_broker_that_is_down_is_named_with_the_reason_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the address, and the reason of the last attempt to connect."""
    monkeypatch.setattr("generator.broker.ANSWER_TIMEOUT_S", 0.5)
    broker = Broker("127.0.0.1:1")
    with (
        pytest.raises(BrokerError, match=r"broker 127.0.0.1:1.*refused.*to do: look at the broker's container"),
        Sender(broker, TOPIC, transactional_id="test", transaction_events=1),
    ):
        pass
