"""Runs a month the old way on the same services: a SQL client for each file, a blind wait of 60 s, then ``dbt build``.

What is reproduced, and what is not:

- The events come from today's generator image, started without Dagster; the old generator is not available. The SQL is
  today's ``sql/flink`` as well, in three files where the old system had several. For each file a process of Flink's
  SQL client starts in a container that is already running, as with ``docker exec``, with the stock client's Java
  settings.
- Bronze's file waits for its job, because silver's file reads what it wrote; silver's file is submitted without a wait.
- The 60 s follow, whether or not the job needs them. Whether it had finished by then is checked and reported.
- dbt runs by ``docker run`` with its own command line in today's dbt image, parses the project again, and uses the
  marts' own volume.
- Nothing is counted, checked, retried or published: the old way did none of that.
"""

import json
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import httpx
from bare_steps import RecordedContainer, run_step
from docker.models.containers import Container
from running_stack import BenchmarkError, RunningStack

IMAGE = "drayage/benchmark-sql-client"
BLIND_WAIT_S = 60.0
TOPICS = {"topic": "benchmark.old_way", "versions_topic": "benchmark.old_way_versions"}
NAMESPACE = "benchmark"
"""Topics and namespace are separate from the pipeline's: its bronze step ingests everything new in its own topic, and
reports everything new in its own table; its silver step would look for the version of this month there."""

_SQL = Path(__file__).resolve().parents[1] / "sql" / "flink"
_CLIENT = (
    "cat > /tmp/file.sql && exec java @/opt/flink/conf/java.options -cp "
    "'/opt/flink/lib/*:/opt/flink/lib-gateway/*:/opt/flink/functions/*:/opt/flink/lib-client/*' "
    "org.apache.flink.table.client.SqlClient embedded -f /tmp/file.sql"
)
_COMMENT = re.compile(r"--[^\n]*")
_COLUMN = re.compile(r"^ +(\w+) [A-Z]", re.MULTILINE)
_WAIT_FOR_JOB = "SET 'table.dml-sync' = 'true';"
_HTTP_TIMEOUT_S = 30.0
_LOG_CHARACTERS = 3000


def run_month(stack: RunningStack, containers: list[RecordedContainer], month: str, events: int) -> dict[str, Any]:
    """Run a month the old way.

    Args:
        stack: The running stack.
        containers: The containers of a run with the same number of events.
        month: A month that was never run.
        events: Number of trips that the steps synthesise.

    Returns:
        Seconds of the whole and of each part; ``silver_was_ready`` shows whether the blind wait was long enough.

    Raises:
        BenchmarkError: A part fails.
    """
    by_step = {container.step: container for container in containers}
    stack.mark_generated(month, "the old way")
    client = stack.engine.containers.run(IMAGE, detach=True, network=stack.project, environment=_credentials(stack))
    try:
        started = time.monotonic()
        steps = [run_step(stack, by_step["kafka_topics"], month, topics=TOPICS)[0]]
        generated, sent = run_step(stack, by_step["generate_events"], month, topics=TOPICS)
        steps.append(generated)
        files = SqlFiles(stack, by_step["bronze/raw_trips"].record["environment"], month)
        steps.append(_run_file(client, "tables.sql", files.tables()))
        steps.append(_run_file(client, "bronze.sql", files.bronze(_value(sent, "offsets"))))
        job_id = secrets.token_hex(16)
        steps.append(_run_file(client, "silver.sql", files.silver(job_id, sent)))
        # The compared pipeline waits like this: the sleep is what is measured, and synchronises nothing here.
        time.sleep(BLIND_WAIT_S)
        steps.append({"step": "blind wait", "seconds": BLIND_WAIT_S})
        silver_was_ready = files.job_state(job_id) == "FINISHED"
        steps.append(_build_marts(stack, by_step["dbt_build"], month, may_fail=not silver_was_ready))
        wall_s = time.monotonic() - started
    finally:
        client.remove(force=True, v=True)
    return {
        "way": "old way",
        "events": events,
        "month": month,
        "wall_s": round(wall_s, 2),
        "steps": steps,
        "silver_was_ready": silver_was_ready,
    }


class SqlFiles:
    """Today's SQL as self-contained files: each runs in a new client, which keeps nothing of the one before.

    Args:
        stack: The running stack.
        addresses: Addresses of the services in the containers' network, by the steps' environment variables.
        month: The month.
    """

    def __init__(self, stack: RunningStack, addresses: dict[str, str], month: str) -> None:
        self._stack = stack
        self._addresses = addresses
        self._month = month
        self._session = _render("session.sql", {}) + _render(
            "catalog.sql",
            {
                "catalog_uri": addresses["ICEBERG_CATALOG_URI"],
                "warehouse": addresses["ICEBERG_WAREHOUSE"],
                "s3_endpoint": addresses["S3_ENDPOINT"],
                "s3_region": addresses["S3_REGION"],
            },
        )

    def tables(self) -> str:
        """Return the SQL that creates the missing tables, and brings bronze's to the latest version of its schema.

        Silver's tables are the pipeline's, whose steps have done that before.
        """
        create = _render("bronze_tables.sql", {}) + _render("silver_tables.sql", {})
        return self._session + create + "".join(self._bronze_migrations())

    def bronze(self, offsets: dict[str, list[int]]) -> str:
        """Return the SQL that appends the generator's events to bronze.

        Args:
            offsets: First and last offset of the events, by partition.
        """
        source = {
            "topic": TOPICS["topic"],
            "bootstrap_servers": self._addresses["KAFKA_BOOTSTRAP_SERVERS"],
            "schema_registry_url": self._addresses["SCHEMA_REGISTRY_URL"],
            "start_offsets": _offsets({number: first for number, (first, _) in offsets.items()}),
            "end_offsets": _offsets({number: last + 1 for number, (_, last) in offsets.items()}),
        }
        job = {
            "job_name": f"old way: bronze {self._month}",
            "job_id": secrets.token_hex(16),
            # Only Kafka knows the topic's id, and this script does not speak its protocol. A name is never a valid id.
            "topic_id": TOPICS["topic"],
            "ingested_at": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
        }
        insert = _render("kafka_source.sql", source) + _render("bronze_ingest.sql", job)
        return self._session + _WAIT_FOR_JOB + insert

    def silver(self, job_id: str, sent: dict[str, Any]) -> str:
        """Return the SQL that replaces the month in silver from the current state of bronze.

        Args:
            job_id: Id of the Flink job.
            sent: What the generator reported: the version of the month.
        """
        snapshot = self._bronze_metadata()["current-snapshot-id"]
        version = {name: str(_value(sent, name)) for name in ("source", "source_version", "source_name")}
        values = {"month": self._month, "bronze_snapshot_id": str(snapshot), **version}
        # Nothing sends the month again, or another version of it.
        job = {"job_name": f"old way: silver {self._month}", "job_id": job_id, "superseded_rows": "0"}
        return self._session + _render("silver_clean.sql", values) + _render("silver_write.sql", {**values, **job})

    def job_state(self, job_id: str) -> str:
        """Return a job's state from Flink's JobManager.

        Args:
            job_id: Id of the Flink job.
        """
        return str(_get(f"{self._stack.url('FLINK_PORT')}/jobs/{job_id}/status")["status"])

    def _bronze_migrations(self) -> Iterator[str]:
        """Yield the migrations whose columns bronze's table lacks: all if no earlier run has created it."""
        metadata = self._bronze_metadata()
        schemas = {schema["schema-id"]: schema["fields"] for schema in metadata.get("schemas", ())}
        fields = {field["name"] for field in schemas.get(metadata.get("current-schema-id"), ())}
        files = (_SQL / "migrations").glob("bronze.raw_trips.*.sql")
        for file in sorted(files, key=lambda file: int(file.stem.rpartition(".")[2])):
            migration = _render(f"migrations/{file.name}", {})
            if not fields.issuperset(_COLUMN.findall(migration)):
                yield migration

    def _bronze_metadata(self) -> dict[str, Any]:
        """Return the Iceberg metadata of bronze's table; empty if there is no such table yet."""
        try:
            table = _get(f"{self._stack.url('CATALOG_PORT')}/v1/namespaces/{NAMESPACE}/tables/raw_trips")
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:
                return {}
            raise
        metadata: dict[str, Any] = table["metadata"]
        return metadata


def _run_file(client: Container, name: str, sql: str) -> dict[str, Any]:
    started = time.monotonic()
    command = ["sh", "-c", f'printf %s "$SQL" | {{ {_CLIENT}; }}']
    exit_code, output = client.exec_run(command, environment={"SQL": sql})
    seconds = time.monotonic() - started
    text = output.decode(errors="replace")
    if exit_code != 0 or "[ERROR]" in text:
        raise BenchmarkError(f"Flink's SQL client failed at {name} (code {exit_code}):\n{text[-_LOG_CHARACTERS:]}")
    return {"step": f"SQL client {name}", "seconds": round(seconds, 2)}


def _build_marts(stack: RunningStack, container: RecordedContainer, month: str, *, may_fail: bool) -> dict[str, Any]:
    record = container.record
    mount = record["settings"]["mounts"][0]
    environment = {name: record["environment"][name] for name in ("ICEBERG_CATALOG_URI", "ICEBERG_WAREHOUSE")}
    environment |= {name: record["environment"][name] for name in ("S3_ENDPOINT", "S3_REGION")}
    folders = ["--target-path", "/tmp/target", "--log-path", "/tmp/logs"]  # noqa: S108 - the container's own
    started = time.monotonic()
    made = stack.engine.containers.create(
        record["image_id"],
        ["build", *folders, "--vars", json.dumps({"trip_months": [month]})],
        entrypoint=["dbt"],
        environment=environment | stack.credentials(list(record["secrets"])),
        volumes={mount["source"]: {"bind": mount["target"], "mode": "rw"}},
        network=stack.project,
        init=True,
    )
    try:
        made.start()
        exit_code = made.wait()["StatusCode"]
        # If the blind wait was too short, dbt failed in the old way too.
        if exit_code != 0 and not may_fail:
            log = made.logs().decode(errors="replace")[-_LOG_CHARACTERS:]
            raise BenchmarkError(f"The old way's dbt build of {month} ended with code {exit_code}:\n{log}")
    finally:
        made.remove(force=True, v=True)
    seconds = round(time.monotonic() - started, 2)
    return {"step": "docker run dbt build", "seconds": seconds, "exit_code": exit_code}


def _render(name: str, values: dict[str, str]) -> str:
    text = Template((_SQL / name).read_text(encoding="utf-8")).substitute(values)
    return _COMMENT.sub("", text).replace("lake.bronze", f"lake.{NAMESPACE}")


def _offsets(by_partition: dict[str, int]) -> str:
    return ";".join(f"partition:{number},offset:{offset}" for number, offset in sorted(by_partition.items()))


def _value(metadata: dict[str, Any], name: str) -> Any:
    value = metadata[name]
    return value["raw_value"] if isinstance(value, dict) else value


def _credentials(stack: RunningStack) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": stack.environment["S3_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": stack.environment["S3_SECRET_ACCESS_KEY"],
        "AWS_REGION": "us-east-1",
    }


def _get(address: str) -> dict[str, Any]:
    answer = httpx.get(address, timeout=_HTTP_TIMEOUT_S)
    answer.raise_for_status()
    content: dict[str, Any] = answer.json()
    return content
