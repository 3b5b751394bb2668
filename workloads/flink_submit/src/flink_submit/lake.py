"""The Iceberg tables, used without Flink: counts, snapshots, and the few deletes that Flink cannot do."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# PyIceberg would import these two when it opens the catalog; a container that is started ahead imports them now.
import pyiceberg.catalog.rest
import pyiceberg.io.pyarrow  # noqa: F401
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchTableError, RESTError
from pyiceberg.table import Table
from pyiceberg.table.snapshots import ancestors_of
from pyiceberg.view.metadata import ViewVersion

from flink_submit.deadline import deadline
from flink_submit.errors import LakeError, ServiceError
from flink_submit.settings import LakeSettings

CALL_DEADLINE_S = 60.0
# An engine that reads a catalog's views looks for its own dialect; the text is the same in each.
VIEW_DIALECTS = ("spark", "trino", "duckdb")
_S3_CONNECT_TIMEOUT_S = "3"
_S3_REQUEST_TIMEOUT_S = "10"


@dataclass(frozen=True)
class OffsetBatch:
    """The origins of some rows of a table, as arrays of equal length.

    Args:
        partitions: Each row's Kafka partition.
        offsets: Each row's offset in its partition.
        undecodable: Whether each row's record could not be decoded.
    """

    partitions: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    undecodable: npt.NDArray[np.bool_]


class Lake:
    """The Iceberg catalog and its tables.

    Args:
        catalog: The catalog.
        place: What and where the catalog and the object store are, for error messages.
    """

    def __init__(self, catalog: Catalog, place: str) -> None:
        self._catalog = catalog
        self._place = place

    @classmethod
    def connect(cls, settings: LakeSettings) -> "Lake":
        """Open the REST catalog.

        Args:
            settings: The addresses and credentials of the catalog and the object store.

        Returns:
            The lake.

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
        """Limit the time of the calls to the tables in the block, and turn their failures into errors of this workload.

        Yields:
            Nothing.

        Raises:
            ServiceError: The catalog or the object store does not answer, fails, or takes too long.
        """
        with _guarded(self._place):
            yield

    def find_table(self, name: str) -> Table | None:
        """Return the current state of a table; None if there is no such table."""
        with self.reading():
            try:
                return self._catalog.load_table(name)
            except NoSuchTableError:
                return None

    def load_table(self, name: str) -> Table:
        """Return the current state of a table.

        Args:
            name: Namespace and table.

        Returns:
            The table.

        Raises:
            LakeError: There is no such table.
        """
        table = self.find_table(name)
        if table is None:
            raise LakeError(
                f"{self._place} has no table {name}. Expected the table that this step's SQL creates through Flink."
            )
        return table

    def month_rows(self, table: Table, month: str, snapshot_id: int | None = None) -> int:
        """Count a month's rows from the manifests, without reading data.

        Args:
            table: The table.
            month: The month, ``yyyy-MM``.
            snapshot_id: The snapshot to count in; the current one by default.

        Returns:
            The number of rows.
        """
        with self.reading():
            if table.current_snapshot() is None:
                return 0
            return table.scan(row_filter=_of_month(month), snapshot_id=snapshot_id).count()

    def read_month(self, table: Table, month: str) -> list[dict[str, Any]]:
        """Return all rows of a month; for small tables."""
        with self.reading():
            rows: list[dict[str, Any]] = table.scan(row_filter=_of_month(month)).to_arrow().to_pylist()
            return rows

    def delete_month(self, table: Table, month: str) -> None:
        """Delete a month's partition in one commit."""
        with self.reading():
            table.delete(_of_month(month), snapshot_properties={"drayage.reason": "the month has no rows"})

    def offsets(self, name: str, topic_id: str, *, at_least: int) -> Iterator[OffsetBatch]:
        """Read the origin of each row of a topic: three narrow columns of the files that can hold such rows.

        Args:
            name: Namespace and table.
            topic_id: Id of the topic; rows of other topics are left out.
            at_least: The lowest offset to read.

        Yields:
            The origins, in batches.
        """
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
        """Count the rows of bronze that belong to no month, from the manifests."""
        with self.reading():
            return table.scan(row_filter="trip_month IS NULL").count() if table.current_snapshot() else 0

    def ensure_view(self, name: str, sql: str, table: Table) -> None:
        """Create a view in the catalog, or replace it if its text differs.

        Args:
            name: Namespace and view.
            sql: A SELECT of columns of the table, in SQL that every dialect understands.
            table: The table that it selects from.
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

    def set_property(self, name: str, key: str, value: str) -> None:
        """Set one property of a table, in one commit."""
        with self.reading(), self._catalog.load_table(name).transaction() as transaction:
            transaction.set_properties({key: value})

    def month_data_version(self, table: Table, month: str) -> str:
        """Return the data version of a month in an append-only table; it changes when rows are added."""
        with self.reading():
            tasks = table.scan(row_filter=_of_month(month)).plan_files() if table.current_snapshot() else ()
            files = sorted(f"{task.file.file_path} {task.file.record_count}" for task in tasks)
        return content_version(*files)


def _of_month(month: str) -> str:
    return f"trip_month = '{month}'"


def rows_added_by(table: Table, job_id: str) -> int:
    """Return how many rows a Flink job added, from the summaries of its snapshots."""
    summaries = [snapshot.summary for snapshot in table.snapshots() if snapshot.summary]
    added = (summary.get("added-records", "0") for summary in summaries if summary.get("flink.job-id") == job_id)
    return sum(int(rows or 0) for rows in added)


def find_snapshot_of(table: Table, job_id: str) -> int | None:
    """Return the snapshot that a Flink job committed; None if it is not in the table's history or was rolled back."""
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        if snapshot.summary and snapshot.summary.get("flink.job-id") == job_id:
            return snapshot.snapshot_id
    return None


def current_job_id(table: Table) -> str | None:
    """Return the Flink job that committed the table's current snapshot; None if no Flink job did."""
    snapshot = table.current_snapshot()
    return snapshot.summary.get("flink.job-id") if snapshot and snapshot.summary else None


def column_schema(table: Table) -> dict[str, Any]:
    """Return the table's columns in the form of Dagster's ``table_schema`` metadata."""
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
    """Return a version of the given texts, 16 hexadecimal digits."""
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
