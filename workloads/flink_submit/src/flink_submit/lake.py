"""The Iceberg tables, read without Flink: counts, snapshots, the few deletes that Flink cannot do."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# PyIceberg would load these two when the catalog is opened; here a container that is started ahead has them already.
import pyiceberg.catalog.rest
import pyiceberg.io.pyarrow  # noqa: F401
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchTableError, RESTError
from pyiceberg.table import Table
from pyiceberg.table.snapshots import ancestors_of
from pyiceberg.view.metadata import ViewVersion

from flink_submit.deadline import deadline
from flink_submit.errors import LakeError, ServiceError
from flink_submit.settings import SilverSettings

CALL_DEADLINE_S = 60.0
# Each engine that reads a catalog's views looks for its own; the text is the same.
VIEW_DIALECTS = ("spark", "trino", "duckdb")
_S3_CONNECT_TIMEOUT_S = "3"
_S3_REQUEST_TIMEOUT_S = "10"


@dataclass(frozen=True)
class OffsetBatch:
    """Where some rows of a table came from; arrays of one length.

    Attributes:
        partitions: Partition of each row.
        offsets: Offset of each row in its partition.
        undecodable: Whether the record could not be decoded.
    """

    partitions: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    undecodable: npt.NDArray[np.bool_]


class Lake:
    """The catalog and what lies behind it."""

    def __init__(self, catalog: Catalog, place: str) -> None:
        self._catalog = catalog
        self._place = place

    @classmethod
    def connect(cls, settings: SilverSettings) -> "Lake":
        """Opens the REST catalog.

        Raises:
            ServiceError: The catalog does not answer.
        """
        place = f"The Iceberg catalog at {settings.iceberg_catalog_uri} or the object store at {settings.s3_endpoint}"
        with _guarded(place):
            catalog = load_catalog(
                "lake",
                **{
                    "type": "rest",
                    "uri": settings.iceberg_catalog_uri,
                    "warehouse": settings.iceberg_warehouse,
                    "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
                    "s3.endpoint": settings.s3_endpoint,
                    "s3.region": settings.s3_region,
                    "s3.access-key-id": settings.s3_access_key_id.get_secret_value(),
                    "s3.secret-access-key": settings.s3_secret_access_key.get_secret_value(),
                    "s3.connect-timeout": _S3_CONNECT_TIMEOUT_S,
                    "s3.request-timeout": _S3_REQUEST_TIMEOUT_S,
                },
            )
        return cls(catalog, place)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turns the failures of calls into the tables into errors of this workload, and limits their time."""
        with _guarded(self._place):
            yield

    def find_table(self, name: str) -> Table | None:
        """Returns a table as it is now, or None."""
        with self.reading():
            try:
                return self._catalog.load_table(name)
            except NoSuchTableError:
                return None

    def load_table(self, name: str) -> Table:
        """Returns a table as it is now.

        Raises:
            LakeError: There is no such table.
        """
        table = self.find_table(name)
        if table is None:
            raise LakeError(
                f"{self._place} has no table {name}. Expected the one that this step's SQL creates in Flink."
            )
        return table

    def month_rows(self, table: Table, month: str, snapshot_id: int | None = None) -> int:
        """Counts the rows of a month from the manifests, without reading data."""
        with self.reading():
            if table.current_snapshot() is None:
                return 0
            return table.scan(row_filter=_of_month(month), snapshot_id=snapshot_id).count()

    def read_month(self, table: Table, month: str) -> list[dict[str, Any]]:
        """Reads all rows of a month; for small tables."""
        with self.reading():
            rows: list[dict[str, Any]] = table.scan(row_filter=_of_month(month)).to_arrow().to_pylist()
            return rows

    def delete_month(self, table: Table, month: str) -> None:
        """Removes a month's partition in one commit."""
        with self.reading():
            table.delete(_of_month(month), snapshot_properties={"drayage.reason": "the month has no rows"})

    def offsets(self, name: str, topic_id: str, *, at_least: int) -> Iterator[OffsetBatch]:
        """Reads where each row of a topic came from: three narrow columns of the files that can hold such rows."""
        with self.reading():
            batches = iter(
                self._catalog.load_table(name)
                .scan(
                    row_filter=f"kafka_topic_id = '{topic_id}' AND kafka_offset >= {at_least}",
                    selected_fields=("kafka_partition", "kafka_offset", "undecodable_reason"),
                )
                .to_arrow_batch_reader()
            )
        while True:
            with self.reading():
                batch = next(batches, None)
            if batch is None:
                return
            yield OffsetBatch(
                batch["kafka_partition"].to_numpy(),
                batch["kafka_offset"].to_numpy(),
                batch["undecodable_reason"].is_valid().to_numpy(zero_copy_only=False),
            )

    def undecodable_rows(self, table: Table) -> int:
        """Counts, from the manifests, the rows of bronze that belong to no month."""
        with self.reading():
            return table.scan(row_filter="trip_month IS NULL").count() if table.current_snapshot() else 0

    def make_view(self, name: str, sql: str, table: Table) -> None:
        """Makes a view in the catalog, or makes it anew when its text is another.

        Args:
            name: Namespace and view.
            sql: A SELECT of columns of the table, in words that every dialect has.
            table: What it selects from.
        """
        namespace = self._catalog.identifier_to_tuple(name)[:-1]
        texts = [{"type": "sql", "sql": sql, "dialect": dialect} for dialect in VIEW_DIALECTS]
        version = ViewVersion.model_validate(
            {"schema-id": 0, "representations": texts, "default-namespace": namespace},
        )
        with self.reading():
            if self._catalog.view_exists(name):
                if self._catalog.load_view(name).current_version().representations == version.representations:
                    return
                self._catalog.drop_view(name)
            columns = [column for column in table.schema().column_names if re.search(rf"\b{column}\b", sql)]
            self._catalog.create_view(name, table.schema().select(*columns), version)

    def month_version(self, table: Table, month: str) -> str:
        """Names the content of a month in an append-only table: another name as soon as rows are added."""
        with self.reading():
            tasks = table.scan(row_filter=_of_month(month)).plan_files() if table.current_snapshot() else ()
            files = sorted(f"{task.file.file_path} {task.file.record_count}" for task in tasks)
        return content_version(*files)


def _of_month(month: str) -> str:
    return f"trip_month = '{month}'"


def rows_added_by(table: Table, job_id: str) -> int:
    """Counts the rows that a Flink job added, from the summaries of its snapshots."""
    summaries = [snapshot.summary for snapshot in table.snapshots() if snapshot.summary]
    added = (summary.get("added-records", "0") for summary in summaries if summary.get("flink.job-id") == job_id)
    return sum(int(rows or 0) for rows in added)


def find_snapshot_of(table: Table, job_id: str) -> int | None:
    """Returns the snapshot that a Flink job made, if it is part of the table's history and was not rolled back."""
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        if snapshot.summary and snapshot.summary.get("flink.job-id") == job_id:
            return snapshot.snapshot_id
    return None


def current_job_id(table: Table) -> str | None:
    """Returns the Flink job that made the table's current snapshot, when it was one."""
    snapshot = table.current_snapshot()
    return snapshot.summary.get("flink.job-id") if snapshot and snapshot.summary else None


def column_schema(table: Table) -> dict[str, Any]:
    """Describes the table's columns as Dagster's `table_schema` metadata takes them."""
    return {
        "columns": [
            {
                "name": field.name,
                "type": str(field.field_type),
                "description": field.doc,
                "constraints": {"nullable": not field.required, "unique": False, "other": []},
            }
            for field in table.schema().fields
        ]
    }


def content_version(*parts: str) -> str:
    """Returns a short name, 16 hexadecimal digits, of the given texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@contextmanager
def _guarded(place: str) -> Iterator[None]:
    try:
        with deadline(CALL_DEADLINE_S, place):
            yield
    except (OSError, RESTError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ServiceError(
            f"{place} failed ({type(error).__name__}: {reason}). Check that both containers run and are healthy "
            "(docker compose ps), then materialize this partition again."
        ) from error
