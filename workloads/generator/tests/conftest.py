"""Fixtures at the boundary: a broker inside librdkafka, a registry and a store behind HTTP, a host's Pipes files.

Where these stand-ins do not do what the real ones do, tests take a broker or an object store in a container.
"""

import base64
import json
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Message, Producer
from containers import Minio, RealKafka, read_topic, run_kafka, run_minio
from dagster_pipes import PipesContext, PipesDefaultContextLoader, PipesDefaultMessageWriter, PipesMappingParamsLoader
from fake_store import FakeStore, serve_store
from trip_files import MONTH, ROWS, TLC_COLUMNS, Write

from generator.broker import Broker
from generator.synthesis import SyntheticTrips

TOPIC = "taxi.raw_trips"
VERSIONS_TOPIC = "taxi.month_versions"
MOCK_PARTITIONS = 4

CONTAINER_FIXTURES = {"real_kafka", "minio"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start containers of the stack's images."""
    for item in items:
        if CONTAINER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("containers")


@pytest.fixture(scope="session")
def real_kafka() -> Iterator[RealKafka]:
    """A broker of the stack's image, without any topic."""
    with run_kafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def minio() -> Iterator[Minio]:
    """An object store of the stack's image, with an empty landing zone and its reader."""
    with run_minio() as store:
        yield store


@pytest.fixture
def store() -> Iterator[FakeStore]:
    """A landing zone without any file."""
    with serve_store() as fake:
        yield fake


@dataclass
class MockKafka:
    """librdkafka's mock cluster, which clients reach over TCP like a real one."""

    cluster: Producer
    address: str

    @property
    def broker(self) -> Broker:
        """The broker for the code under test."""
        return Broker(self.address)

    def read_all(self, topic: str = TOPIC) -> list[Message]:
        """Read each partition of a topic from its first record to its end."""
        return read_topic(self.address, topic)


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    """A broker with both topics."""
    cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    (node,) = cluster.list_topics(timeout=10).brokers.values()
    for topic in (TOPIC, VERSIONS_TOPIC):
        cluster.list_topics(topic, timeout=10)  # the mock creates a topic when a client asks for it
    yield MockKafka(cluster, f"{node.host}:{node.port}")
    cluster.close()


@dataclass
class FakeRegistry:
    """The part of a schema registry that the generator uses; it records every request."""

    url: str = ""
    schemas: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    answer: tuple[int, bytes] | None = None
    """An answer to all requests, instead of a registry's."""

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Answer as Confluent's registry does."""
        path = path.partition("?")[0]
        self.requests.append(f"{method} {path}")
        if self.answer is not None:
            return self.answer
        if method == "PUT":
            return 200, body
        if method == "POST":
            self.schemas.append(json.loads(body)["schema"])
            return 200, b'{"id": 7}'
        if self.schemas:
            return 200, b"[1]"
        return 404, b'{"error_code": 40401, "message": "Subject not found."}'


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry without any schema; the first one gets id 7."""
    fake = FakeRegistry()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = fake.respond(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = _handle  # noqa: N815  the server looks for these names

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class HostFiles:
    """The context and messages of one step, as a host mounts them."""

    folder: Path

    def write_context(self, extras: dict[str, Any], month: str | None) -> dict[str, dict[str, str]]:
        """Write the context of a step.

        Returns:
            The bootstrap parameters with the paths of both files.
        """
        key_range = {"start": month, "end": month} if month else None
        context = {
            "asset_keys": ["step"],
            "code_version_by_asset_key": {"step": None},
            "provenance_by_asset_key": {"step": None},
            "partition_key": month,
            "partition_key_range": key_range,
            "partition_time_window": None,
            "run_id": "run",
            "job_name": None,
            "retry_number": 0,
            "extras": extras,
        }
        (self.folder / "context.json").write_text(json.dumps(context))
        return {
            "DAGSTER_PIPES_CONTEXT": {"path": str(self.folder / "context.json")},
            "DAGSTER_PIPES_MESSAGES": {"path": str(self.folder / "messages.jsonl")},
        }

    def read_messages(self) -> list[dict[str, Any]]:
        """Read the messages that the step sent."""
        return [json.loads(line) for line in (self.folder / "messages.jsonl").read_text().splitlines()]

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the only materialization."""
        (params,) = [m["params"] for m in self.read_messages() if m["method"] == "report_asset_materialization"]
        return {name: value["raw_value"] for name, value in params["metadata"].items()}

    @property
    def exception(self) -> dict[str, Any]:
        """The exception that the session was closed with."""
        closed = self.read_messages()[-1]
        assert closed["method"] == "closed"
        return dict(closed["params"]["exception"])

    def open_pipes(self, extras: dict[str, Any], month: str | None) -> PipesContext:
        """Open the step's session in this process."""
        params = {name: _encode(value) for name, value in self.write_context(extras, month).items()}
        return PipesContext(PipesMappingParamsLoader(params), PipesDefaultContextLoader(), PipesDefaultMessageWriter())

    def start(
        self, command: str, extras: dict[str, Any], month: str | None, environment: dict[str, str]
    ) -> subprocess.Popen[str]:
        """Start a command as the image does."""
        params = {name: _encode(value) for name, value in self.write_context(extras, month).items()}
        return subprocess.Popen(  # noqa: S603  runs the program under test
            [sys.executable, "-m", "generator", command],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(sys.path),
                "TMPDIR": str(self.folder),  # a command that is killed leaves its copy of the file behind
                **params,
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, command: str, extras: dict[str, Any], month: str | None, environment: dict[str, str]
    ) -> tuple[int, str]:
        """Run a command to its end.

        Returns:
            The exit code and stderr.
        """
        with self.start(command, extras, month, environment) as process:
            _, stderr = process.communicate(timeout=60)
        return process.returncode, stderr


def _encode(value: dict[str, str]) -> str:
    return base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()


@pytest.fixture
def host(tmp_path: Path) -> HostFiles:
    """The files between a host and one step."""
    folder = tmp_path / "io"
    folder.mkdir()
    (folder / "messages.jsonl").touch()
    return HostFiles(folder)


@pytest.fixture(scope="module")
def trips() -> pa.Table:
    """Trips in the types that the TLC's Parquet files have."""
    table = pa.Table.from_batches(SyntheticTrips(MONTH, seed=1, events=ROWS).batches())
    return table.select(TLC_COLUMNS)


@pytest.fixture(params=["parquet", "csv"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Writes a table in one of the two formats, under the TLC's name."""
    path = tmp_path / f"yellow_tripdata_2019-01.{request.param}"

    def write_file(table: pa.Table) -> Path:
        if path.suffix == ".parquet":
            pq.write_table(table, path, coerce_timestamps="us")
        else:
            pyarrow.csv.write_csv(table, path)
        return path

    return write_file
