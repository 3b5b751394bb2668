"""The old way renders the pipeline's own SQL; a placeholder or migration that it does not know would end it halfway."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from bare_steps import RecordedContainer
from old_way import TOPICS, SqlFiles
from running_stack import RunningStack

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESSES = {
    "ICEBERG_CATALOG_URI": "http://iceberg-rest:8181",
    "ICEBERG_WAREHOUSE": "s3://warehouse/",
    "S3_ENDPOINT": "http://minio:9000",
    "S3_REGION": "us-east-1",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:19092",
    "SCHEMA_REGISTRY_URL": "http://schema-registry:8080",
}
SENT = {
    "source": "synthetic",
    "source_version": "seed-42-events-10.0a1b2c3d",
    "source_name": "synthetic, seed 42, 10 events",
    "offsets": {"type": "json", "raw_value": {"0": [4, 9]}},
}


class Catalog:
    """What stands in for the Iceberg catalog, with at most one table.

    Args:
        port: Where it answers.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.table: dict[str, Any] | None = None

    def hold(self, *columns: str) -> None:
        """Have the table, with these columns and a snapshot."""
        fields = [{"name": name} for name in columns]
        schemas = [{"schema-id": 0, "fields": []}, {"schema-id": 1, "fields": fields}]
        self.table = {"metadata": {"current-snapshot-id": 7, "current-schema-id": 1, "schemas": schemas}}


@pytest.fixture
def catalog() -> Iterator[Catalog]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/v1/namespaces/benchmark/tables/raw_trips" and held.table
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(json.dumps(held.table).encode() if known else b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        held = Catalog(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield held
        server.shutdown()
        thread.join()


@pytest.fixture
def files(catalog: Catalog) -> SqlFiles:
    stack = RunningStack({"CATALOG_PORT": str(catalog.port)}, engine=None)  # type: ignore[arg-type]  # none is asked
    return SqlFiles(stack, ADDRESSES, "2019-01")


def test_a_new_table_gets_its_later_columns_too(files: SqlFiles) -> None:
    tables = files.tables()
    assert "CREATE TABLE IF NOT EXISTS lake.benchmark.raw_trips" in tables
    assert "ALTER TABLE lake.benchmark.raw_trips ADD" in tables


def test_a_table_of_an_earlier_run_gets_only_what_it_lacks(files: SqlFiles, catalog: Catalog) -> None:
    """Flink refuses to add a column that is there, and the whole file with it."""
    catalog.hold("event_id")
    migration = files.tables().partition("ALTER TABLE")[2]
    added = [line.split()[0] for line in migration.splitlines()[1:] if line.startswith("    ")]
    assert added[-1] == "source_version"
    catalog.hold("event_id", *added)
    assert "ALTER TABLE" not in files.tables()
    catalog.hold("event_id", *added[:-1])
    assert "ALTER TABLE" in files.tables()


def test_bronze_reads_the_topic_of_its_own_up_to_the_last_event(files: SqlFiles) -> None:
    sql = files.bronze({"0": [4, 9]})
    assert f"'topic' = '{TOPICS['topic']}'" in sql
    assert "'scan.startup.specific-offsets' = 'partition:0,offset:4'" in sql
    assert "'scan.bounded.specific-offsets' = 'partition:0,offset:10'" in sql


def test_silver_takes_the_version_that_was_sent(files: SqlFiles, catalog: Catalog) -> None:
    catalog.hold("event_id")
    sql = files.silver("0" * 32, SENT)
    assert "AND source_version = 'seed-42-events-10.0a1b2c3d'" in sql
    assert "'synthetic, seed 42, 10 events' AS source_name" in sql
    assert "'snapshot-id' = '7'" in sql


def test_the_old_ways_month_is_not_the_current_version_in_the_pipelines_topic() -> None:
    extras = {"topic": "taxi.raw_trips", "versions_topic": "taxi.month_versions"}
    recorded = RecordedContainer({}, {"partition_key": "2019-01", "extras": extras})
    assert set(extras.values()).isdisjoint(recorded.context_of("2019-02", TOPICS)["extras"].values())
