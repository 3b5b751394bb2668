"""Fixtures that replace the network: Flink's REST interfaces, and a catalog in a file."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dagster_pipes import (
    PipesContext,
    PipesDefaultContextLoader,
    PipesDefaultMessageWriter,
    PipesEnvVarParamsLoader,
    encode_param,
)
from fake_flink import FakeFlink
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import ViewAlreadyExistsError
from pyiceberg.schema import Schema
from pyiceberg.types import BinaryType, IntegerType, LongType, NestedField, StringType, TimestampType
from pyiceberg.view import View
from pyiceberg.view.metadata import ViewMetadata, ViewVersion

from flink_submit.gateway import SqlGateway
from flink_submit.job_runner import JobRunner
from flink_submit.jobmanager import JobManager
from flink_submit.lake import Lake
from flink_submit.report import StepReport
from flink_submit.service_client import ServiceClient

SQL_DIRECTORY = Path(__file__).parents[3] / "sql" / "flink"
# The columns of the table that the steps read without Flink.
BRONZE_SCHEMA = Schema(
    NestedField(1, "event_id", StringType(), required=False),
    NestedField(2, "trip_month", StringType(), required=False),
    NestedField(3, "kafka_topic_id", StringType(), required=True),
    NestedField(4, "kafka_partition", IntegerType(), required=True),
    NestedField(5, "kafka_offset", LongType(), required=True, doc="Offset of the record"),
    NestedField(6, "kafka_timestamp", TimestampType(), required=False),
    NestedField(7, "ingested_at", TimestampType(), required=False),
    NestedField(8, "undecodable_reason", StringType(), required=False),
    NestedField(9, "undecodable_value", BinaryType(), required=False),
    NestedField(10, "source_version", StringType(), required=False),
)


def bronze_rows(
    month: str, topic_id: str, partition: int, *offsets: int, source_version: str | None = None
) -> pa.Table:
    """Return rows of bronze, one for each offset."""
    row = {"trip_month": month, "kafka_topic_id": topic_id, "kafka_partition": partition}
    row |= {"source_version": source_version} if source_version else {}
    rows = [{**row, "event_id": f"{partition}.{offset}", "kafka_offset": offset} for offset in offsets]
    return pa.Table.from_pylist(rows, schema=BRONZE_SCHEMA.as_arrow())


def undecodable_rows(topic_id: str, partition: int, *offsets: int) -> pa.Table:
    """Return rows of records that could not be decoded."""
    row = {"kafka_topic_id": topic_id, "kafka_partition": partition, "undecodable_reason": "why"}
    rows = [{**row, "kafka_offset": offset, "undecodable_value": b"x"} for offset in offsets]
    return pa.Table.from_pylist(rows, schema=BRONZE_SCHEMA.as_arrow())


class CatalogInAFile(SqlCatalog):
    """pyiceberg's catalog in a file, plus views in memory, which that catalog lacks."""

    views: dict[str, View]

    def view_exists(self, identifier: Any) -> bool:
        """Return whether a view exists."""
        return identifier in self.views

    def load_view(self, identifier: Any) -> View:
        """Return a view."""
        return self.views[identifier]

    def drop_view(self, identifier: Any) -> None:
        """Delete a view."""
        del self.views[identifier]

    def create_view(self, identifier: Any, schema: Any, view_version: ViewVersion, **_: Any) -> View:  # type: ignore[override]  # only the arguments that the lake passes
        """Create a view."""
        if identifier in self.views:
            raise ViewAlreadyExistsError(identifier)
        metadata = ViewMetadata(
            view_uuid=str(uuid.uuid4()),
            format_version=1,
            location="memory",
            schemas=[schema],
            current_version_id=view_version.version_id,
            versions=[view_version],
            version_log=[],
        )
        self.views[identifier] = View((identifier,), metadata)
        return self.views[identifier]


@dataclass
class PipesSession:
    """An open Pipes context and the messages written to it."""

    context: PipesContext
    messages_path: Path

    def messages(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of all messages of a method."""
        lines = self.messages_path.read_text(encoding="utf-8").splitlines()
        messages = [json.loads(line) for line in lines]
        return [message["params"] for message in messages if message["method"] == method]

    def custom(self, kind: str) -> list[dict[str, Any]]:
        """Return the custom messages of a kind."""
        payloads = [message["payload"] for message in self.messages("report_custom_message")]
        return [payload for payload in payloads if payload["kind"] == kind]

    def log(self) -> str:
        """Return all log lines."""
        return "\n".join(message["message"] for message in self.messages("log"))


@pytest.fixture(autouse=True)
def _sql_of_this_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLINK_SQL_DIR", str(SQL_DIRECTORY))


@pytest.fixture
def flink() -> FakeFlink:
    """A cluster without jobs."""
    return FakeFlink()


@pytest.fixture
def pipes_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set the environment that the host sets; return the file of the messages."""
    context = {
        "asset_keys": ["bronze/raw_trips"],
        "code_version_by_asset_key": {"bronze/raw_trips": None},
        "provenance_by_asset_key": {"bronze/raw_trips": None},
        "partition_key": "2019-01",
        "partition_key_range": {"start": "2019-01", "end": "2019-01"},
        "partition_time_window": None,
        "run_id": "run",
        "job_name": None,
        "retry_number": 0,
        "extras": {"topic": "taxi.raw_trips", "versions_topic": "taxi.month_versions"},
    }
    (tmp_path / "context.json").write_text(json.dumps(context), encoding="utf-8")
    monkeypatch.setenv("DAGSTER_PIPES_CONTEXT", encode_param({"path": str(tmp_path / "context.json")}))
    monkeypatch.setenv("DAGSTER_PIPES_MESSAGES", encode_param({"path": str(tmp_path / "messages.jsonl")}))
    return tmp_path / "messages.jsonl"


@pytest.fixture
def pipes(pipes_environment: Path) -> Iterator[PipesSession]:
    """An open Pipes context."""
    params = PipesEnvVarParamsLoader()  # type: ignore[no-untyped-call]  # not annotated
    with PipesContext(params, PipesDefaultContextLoader(), PipesDefaultMessageWriter()) as context:
        yield PipesSession(context, pipes_environment)


@pytest.fixture
def report(pipes: PipesSession) -> StepReport:
    """A report that writes to the Pipes files."""
    return StepReport(pipes.context, "http://ui.test:8081")


@pytest.fixture
def runner(flink: FakeFlink, report: StepReport) -> Iterator[JobRunner]:
    """A runner of jobs on the fake cluster."""
    with (
        ServiceClient("The gateway", "http://gateway.test", transport=flink.transport(), patience_s=0) as gateway,
        ServiceClient("The JobManager", "http://jobmanager.test", transport=flink.transport(), patience_s=0) as client,
        SqlGateway(gateway) as session,
    ):
        yield JobRunner(session, JobManager(client), report, cluster_deadline_s=0)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[CatalogInAFile]:
    """A catalog with its namespaces and no tables."""
    warehouse = tmp_path / "warehouse"
    warehouse.mkdir()
    catalog = CatalogInAFile("lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{warehouse}")
    catalog.views = {}
    catalog.create_namespace("bronze")
    catalog.create_namespace("silver")
    yield catalog
    catalog.close()


@pytest.fixture
def lake(catalog: SqlCatalog) -> Lake:
    """A lake with that catalog."""
    return Lake(catalog, "The catalog in a file")
