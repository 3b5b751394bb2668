"""Containers of the stack's images: a real broker and a real object store, for what a stand-in cannot show."""

import secrets
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient  # type: ignore[attr-defined]  # not in its __all__

from generator.broker import Broker
from generator.topics import create_topics

READY_S = 120.0


@dataclass
class Topics:
    """The names of the two topics of one test."""

    events: str
    versions: str


@dataclass
class RealKafka:
    """A broker in a container."""

    address: str

    @property
    def broker(self) -> Broker:
        """The broker for the code under test."""
        return Broker(self.address)

    def new_topics(self) -> Topics:
        """Create the topics of one test."""
        name = uuid.uuid4().hex[:8]
        topics = Topics(f"{name}.raw_trips", f"{name}.month_versions")
        create_topics(self.broker, topics.events, 3, topics.versions)
        return topics

    def read_all(self, topic: str) -> list[Message]:
        """Read each committed record of a topic."""
        return read_topic(self.address, topic)


@dataclass
class Minio:
    """An object store in a container."""

    endpoint: str
    container: str
    user: str
    password: str
    reader: str
    reader_password: str

    def mc(self, *arguments: str, stdin: bytes | None = None) -> str:
        """Run the image's client as the object store's owner."""
        host = f"MC_HOST_local=http://{self.user}:{self.password}@127.0.0.1:9000"
        command = ["exec", "--interactive", "--env", host, self.container, "mc", "--quiet", *arguments]
        return docker(*command, stdin=stdin)


def read_topic(address: str, topic: str) -> list[Message]:
    """Read each partition of a topic from its first record to its end."""
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "test",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    partitions = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    records: list[Message] = []
    at_end: set[int | None] = set()
    while len(at_end) < len(partitions):
        for message in consumer.consume(1000, timeout=0.2):
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  it has no public name
                at_end.add(message.partition())
            else:
                pytest.fail(f"reading {topic}: {error}")
    consumer.close()
    return records


@contextmanager
def run_kafka() -> Iterator[RealKafka]:
    """Run a broker until the block ends."""
    port = _free_port()
    address = f"127.0.0.1:{port}"
    with _run("drayage/kafka", f"{port}:29092", {"KAFKA_PORT": str(port), "KAFKA_NAME": "127.0.0.1"}):
        client = AdminClient({"bootstrap.servers": address, "log_level": 0})
        deadline = time.monotonic() + READY_S
        while True:
            try:
                client.list_topics(timeout=1)
                break
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
        yield RealKafka(address)


@contextmanager
def run_minio() -> Iterator[Minio]:
    """Run an object store until the block ends."""
    port = _free_port()
    user, password, reader_password = "owner", secrets.token_hex(16), secrets.token_hex(16)
    settings = {"MINIO_ROOT_USER": user, "MINIO_ROOT_PASSWORD": password}
    with _run("drayage/minio", f"{port}:9000", settings) as container:
        store = Minio(f"http://127.0.0.1:{port}", container, user, password, "reader", reader_password)
        store.mc("ready", "local")
        store.mc("mb", "local/landing", "local/warehouse")
        store.mc("admin", "user", "add", "local", store.reader, reader_password)
        policy = """{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::landing/*"},
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::landing"}]}"""
        store.mc("admin", "policy", "create", "local", "read-landing", "/dev/stdin", stdin=policy.encode())
        store.mc("admin", "policy", "attach", "local", "read-landing", "--user", store.reader)
        yield store


@contextmanager
def _run(image: str, port: str, environment: dict[str, str]) -> Iterator[str]:
    options = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
    name = f"drayage-generator-test-{uuid.uuid4().hex[:8]}"
    container = docker("run", "--detach", "--name", name, "--publish", f"127.0.0.1:{port}", *options, image).strip()
    try:
        yield container
    finally:
        docker("rm", "--force", "--volumes", container)


def docker(*arguments: str, stdin: bytes | None = None) -> str:
    """Run a command of the container engine."""
    result = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, check=False, timeout=READY_S)  # noqa: S603, S607  the tests' own arguments
    if result.returncode:
        pytest.fail(
            f"docker {arguments[0]} failed: {result.stderr.decode()}\n`make up` builds the images; "
            "`-m 'not containers'` leaves these tests out"
        )
    return result.stdout.decode()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
