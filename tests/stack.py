"""The test stack seen from outside: its addresses, its engine, its topic and its tables.

Everything here reads the services themselves and nothing of the pipeline's own code, so that a mistake in the pipeline
cannot confirm itself.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import docker
import httpx
from botocore.config import Config
from confluent_kafka.admin import AdminClient
from pyiceberg.catalog import Catalog, load_catalog
from topic_reader import committed_records, topic_id

REPOSITORY = Path(__file__).resolve().parents[1]
LANDING = ("landing", "yellow/")
"""Bucket and prefix of the landing zone."""


@dataclass(frozen=True)
class Launch:
    """The result of `nyc_taxi.launch`: exit code and everything that it printed."""

    exit_code: int
    output: str

    @property
    def run_id(self) -> str:
        """Return the id of the Dagster run, which the command prints."""
        found = re.search(r"/runs/([0-9a-f-]{36})", self.output)
        assert found, self.output
        return found[1]


class Stack:
    """The compose project that an environment file describes."""

    def __init__(self, environment_file: Path) -> None:
        """Read the addresses and credentials that the set-up generated."""
        self.environment_file = environment_file
        lines = environment_file.read_text().splitlines()
        pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
        self.environment = dict(pairs)
        self.project = self.environment["COMPOSE_PROJECT_NAME"]
        self.engine = docker.from_env()

    def port(self, name: str) -> int:
        """Return a published port by its variable, such as `KAFKA_PORT`."""
        return int(self.environment[name])

    def url(self, port_name: str) -> str:
        """Return the address on this machine of a service that speaks HTTP."""
        return f"http://127.0.0.1:{self.port(port_name)}"

    @property
    def kafka_address(self) -> str:
        """Return the broker's published address."""
        return f"127.0.0.1:{self.port('KAFKA_PORT')}"

    def land(self, folder: Path) -> Launch:
        """Land a folder's monthly files as `make land` does."""
        return _run("nyc_taxi.landing", "--environment-file", str(self.environment_file), "--", str(folder))

    @contextmanager
    def landed(self, *files: Path) -> Iterator[None]:
        """Land files; at the end, take those names away again."""
        with tempfile.TemporaryDirectory() as folder:
            for file in files:
                (Path(folder) / file.name).symlink_to(file.resolve())
            done = self.land(Path(folder))
        assert done.exit_code == 0, done.output
        try:
            yield
        finally:
            for file in files:
                self.objects().delete_object(Bucket=LANDING[0], Key=LANDING[1] + file.name)

    def landed_names(self) -> list[str]:
        """Return the names of all files in the landing zone."""
        found = self.objects().list_objects_v2(Bucket=LANDING[0], Prefix=LANDING[1])
        return sorted(each["Key"].removeprefix(LANDING[1]) for each in found.get("Contents", ()))

    def objects(self) -> Any:
        """Return an S3 client that may do anything."""
        return botocore.session.Session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.url("MINIO_PORT"),
            aws_access_key_id=self.environment["S3_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["S3_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}),
        )

    def container(self, service: str) -> Any:
        """Return the container of a compose service."""
        return self.engine.containers.get(f"{self.project}-{service}")

    def left_containers(self) -> list[str]:
        """Return the names of this project's containers that compose did not start and that are not kept on purpose.

        They include run workers that have a run, but not the container of a failed step, which is kept for debugging.
        """
        found = self.engine.containers.list(all=True, ignore_removed=True, filters={"network": self.project})
        labelled = self.engine.containers.list(
            all=True, ignore_removed=True, filters={"label": f"drayage/deployment={self.project}"}
        )
        own = [c for c in [*found, *labelled] if "com.docker.compose.project" not in c.labels]
        own = [c for c in own if not c.name.startswith(f"{self.project}-standby-")]
        return sorted({c.name for c in own if c.status == "running" or c.attrs["State"]["ExitCode"] == 0})

    def assert_nothing_is_left(self) -> None:
        """Wait until no such container is left: a run worker exits shortly after its run's last event."""
        wait_until(lambda: not self.left_containers(), what=f"{self.left_containers()} gone", timeout_s=60)

    def launch(self, month: str, *arguments: str) -> Launch:
        """Run a month through the webserver as `make run` does and wait for its end."""
        return _run("nyc_taxi.launch", "--url", self.url("DAGSTER_PORT"), "--month", month, *arguments)

    def query(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask the webserver's GraphQL, raising on any error in the answer."""
        answer = httpx.post(
            f"{self.url('DAGSTER_PORT')}/graphql",
            json={"query": query, "variables": variables},
            timeout=30,
        )
        answer.raise_for_status()
        body = answer.json()
        if body.get("errors"):
            message = f"GraphQL refused the query: {body['errors']}"
            raise RuntimeError(message)
        data: dict[str, Any] = body["data"]
        return data

    def materialization(self, asset: str, month: str | None) -> dict[str, Any]:
        """Return the latest materialization's metadata of an asset (of a month) as plain values."""
        data = self.query(
            """
            query Materializations($key: AssetKeyInput!, $partitions: [String!]) {
              assetOrError(assetKey: $key) {
                ... on Asset {
                  assetMaterializations(partitions: $partitions, limit: 1) {
                    runId timestamp
                    metadataEntries {
                      __typename label
                      ... on IntMetadataEntry { intValue }
                      ... on FloatMetadataEntry { floatValue }
                      ... on TextMetadataEntry { text }
                      ... on UrlMetadataEntry { url }
                      ... on JsonMetadataEntry { jsonString }
                      ... on TableSchemaMetadataEntry { schema { columns { name description } } }
                    }
                  }
                }
              }
            }
            """,
            key={"path": asset.split("/")},
            partitions=[month] if month else None,
        )
        events = data["assetOrError"]["assetMaterializations"]
        if not events:
            message = f"{asset} was never materialized for {month}"
            raise LookupError(message)
        return {entry["label"]: _plain(entry) for entry in events[0]["metadataEntries"]}

    def checks(self, asset: str, run_id: str) -> dict[str, tuple[str, bool]]:
        """Return severity and outcome of each asset check that a run evaluated for an asset, by its name."""
        data = self.query(
            """
            query Checks($run: ID!) {
              logsForRun(runId: $run, limit: 1000) {
                ... on EventConnection {
                  events {
                    ... on AssetCheckEvaluationEvent {
                      evaluation { checkName severity success assetKey { path } }
                    }
                  }
                }
              }
            }
            """,
            run=run_id,
        )
        found = [event["evaluation"] for event in data["logsForRun"]["events"] if "evaluation" in event]
        return {
            one["checkName"]: (one["severity"], one["success"])
            for one in found
            if "/".join(one["assetKey"]["path"]) == asset
        }

    @contextmanager
    def stopped(self, service: str) -> Iterator[None]:
        """Stop a service; at the end, start it again and wait until it is healthy."""
        container = self.container(service)
        container.stop(timeout=10)
        try:
            yield
        finally:
            container.start()
            self.wait_until_healthy(service)

    def wait_until_healthy(self, service: str, *, timeout_s: float = 90) -> None:
        """Wait until a service that was started again answers."""
        wait_until(
            lambda: self.container(service).attrs["State"]["Health"]["Status"] == "healthy",
            what=f"{service} healthy again",
            timeout_s=timeout_s,
        )

    def start_job(self, job: str, run_config: dict[str, Any], *, month: str | None = None) -> str:
        """Launch a job, with or without a month, as the UI's button does; return the run's id without waiting."""
        tags = [{"key": "dagster/partition", "value": month}] if month else []
        launched = self.query(
            """
            mutation Launch($params: ExecutionParams!) {
              launchPipelineExecution(executionParams: $params) {
                __typename
                ... on LaunchRunSuccess { run { runId } }
                ... on Error { message }
              }
            }
            """,
            params={
                "selector": {
                    "jobName": job,
                    "repositoryName": "__repository__",
                    "repositoryLocationName": "nyc_taxi",
                },
                "runConfigData": run_config,
                "executionMetadata": {"tags": tags},
            },
        )["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def run_status(self, run_id: str) -> str:
        """Return the status of a run, such as `STARTED` or `SUCCESS`."""
        answer = self.query("query Status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }", run=run_id)
        return str(answer["runOrError"]["status"])

    def wait_for_end(self, run_id: str, *, timeout_s: float = 300) -> str:
        """Wait until a run is over, and return how it ended: `SUCCESS`, `FAILURE` or `CANCELED`."""
        over = {"SUCCESS", "FAILURE", "CANCELED"}
        wait_until(lambda: self.run_status(run_id) in over, what=f"the end of run {run_id}", timeout_s=timeout_s)
        return self.run_status(run_id)

    def committed_events(self, month: str) -> int:
        """Count the topic's committed records of a month with a separate consumer."""
        prefix = f"{month}.".encode()
        return sum((message.key() or b"").startswith(prefix) for message in committed_records(self.kafka_address))

    def kafka_admin(self) -> AdminClient:
        """Return a client that may change the topic."""
        return AdminClient({"bootstrap.servers": self.kafka_address})

    def committed_offsets(self) -> list[tuple[int, int]]:
        """Return partition and offset of each committed record of the topic, read by a separate consumer."""
        return [(message.partition(), message.offset()) for message in committed_records(self.kafka_address)]

    def ingested_offsets(self) -> list[tuple[int, int]]:
        """Return partition and offset of each row of bronze that came from the current topic."""
        scan = (
            self.catalog()
            .load_table("bronze.raw_trips")
            .scan(
                row_filter=f"kafka_topic_id = '{topic_id(self.kafka_address)}'",
                selected_fields=("kafka_partition", "kafka_offset"),
            )
        )
        return [(row["kafka_partition"], row["kafka_offset"]) for row in scan.to_arrow().to_pylist()]

    def catalog(self) -> Catalog:
        """Return the Iceberg catalog through its published port."""
        return load_catalog(
            "lake",
            **{
                "type": "rest",
                "uri": self.url("CATALOG_PORT"),
                "s3.endpoint": self.url("MINIO_PORT"),
                "s3.access-key-id": self.environment["S3_ACCESS_KEY_ID"],
                "s3.secret-access-key": self.environment["S3_SECRET_ACCESS_KEY"],
                "s3.region": "us-east-1",
                "s3.path-style-access": "true",
            },
        )

    def table_rows(self, table: str, month: str) -> list[dict[str, Any]]:
        """Return a month's rows of an Iceberg table, in a stable order."""
        scan = self.catalog().load_table(table).scan(row_filter=f"trip_month = '{month}'")
        rows = scan.to_arrow().to_pylist()
        return sorted(
            rows, key=lambda row: (row["event_id"], row.get("kafka_partition", 0), row.get("kafka_offset", 0))
        )

    def marts(self, sql: str) -> list[dict[str, Any]]:
        """Query the marts' DuckDB file."""
        rows: list[dict[str, Any]] = self._in_marts(
            "found = marts.execute(sys.argv[1]);"
            "names = [column[0] for column in found.description];"
            "print(json.dumps([dict(zip(names, row)) for row in found.fetchall()], default=str))",
            sql,
        )
        return rows

    def marts_tables(self, *, without: tuple[str, ...]) -> dict[str, list[str]]:
        """Return the rows of each table of the marts as text in a stable order, except those of some schemas."""
        tables: dict[str, list[str]] = self._in_marts(
            'found = marts.execute("select table_schema, table_name from information_schema.tables '
            "where table_type = 'BASE TABLE'\").fetchall();"
            "names = ['.'.join(each) for each in found if each[0] not in sys.argv[1:]];"
            "print(json.dumps({name: sorted(map(str, marts.table(name).fetchall())) for name in names}))",
            *without,
        )
        return tables

    def _in_marts(self, script: str, *arguments: str) -> Any:
        """Open the file read-only as `marts`, in a container of its own, and return the JSON that it prints."""
        opened = "import duckdb, json, sys; marts = duckdb.connect('/var/lib/marts/marts.duckdb', read_only=True);"
        printed = self.engine.containers.run(
            "drayage/dbt-runner",
            entrypoint=["python", "-c", opened + script, *arguments],
            command=[],
            volumes={f"{self.project}_marts": {"bind": "/var/lib/marts", "mode": "rw"}},
            network_mode="none",
            remove=True,
        )
        return json.loads(printed)


def _run(module: str, *arguments: str) -> Launch:
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    return Launch(done.returncode, done.stdout + done.stderr)


def _plain(entry: dict[str, Any]) -> Any:
    """Return the value of a GraphQL metadata entry, whatever its type."""
    if "jsonString" in entry:
        return json.loads(entry["jsonString"])
    return next((entry[name] for name in ("intValue", "floatValue", "text", "url", "schema") if name in entry), None)


def wait_until(condition: Callable[[], bool], *, what: str, timeout_s: float) -> None:
    """Poll a condition until it holds; raise a `TimeoutError` that names it if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            message = f"{what}: not within {timeout_s:.0f} s"
            raise TimeoutError(message)
        time.sleep(0.2)
