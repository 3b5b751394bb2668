"""The marts as Iceberg tables, written by DuckDB's Iceberg extension.

A table changes in one catalog commit, and only in months whose rows differ from the mart's: publishing the same rows
again commits nothing. Replaced rows leave a delete file behind, which any engine's compaction removes. Columns that the
mart has gained are added to the table first, in a commit of their own; two steps that do so at once cannot both commit.

*Source*: https://duckdb.org/docs/stable/core_extensions/iceberg/iceberg_rest_catalogs (DuckDB 1.5). ``create or
replace`` is rejected, hence ``delete`` and ``insert`` in one transaction, which is one commit of two snapshots.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from dbt_runner.content import MONTH_COLUMN, Column, Content, list_columns, read_contents
from dbt_runner.errors import CatalogError, MartMissingError, PublishError, what_helps
from dbt_runner.marts import explain_marts_error
from dbt_runner.settings import DuckDBConfig, Settings

EXTENSIONS = ("httpfs", "avro", "iceberg")
"""DuckDB's extensions, in an order in which they can be loaded."""

LAKE, MARTS = "lake", "built"


@dataclass(frozen=True)
class Published:
    """The result of publishing one table.

    Args:
        columns: The table's columns.
        built: The mart's rows of the published months.
        found: The table's rows of these months, read back after the commit.
        rows_written: Number of rows written; 0 if the table already had them all.
        rows_deleted: Number of rows deleted.
        snapshot_id: The table's current snapshot; None if nothing was ever committed to it.
    """

    columns: Sequence[Column]
    built: Content
    found: Content
    rows_written: int
    rows_deleted: int
    snapshot_id: int | None


class Publisher:
    """Makes Iceberg tables equal to marts.

    Args:
        connection: A connection with the marts' file attached as ``built`` and the catalog as ``lake``.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def publish(self, mart: str, table: str, months: Sequence[str], *, by_month: bool) -> Published:
        """Make a table's rows equal to those of a mart.

        Args:
            mart: The mart as ``schema.name``.
            table: The Iceberg table as ``namespace.name``; created if it does not exist.
            months: The months to publish; empty for all.
            by_month: Whether to publish the mart month by month; if not, all of it is published, whatever the months.

        Returns:
            The columns, contents and row counts of the published table.

        Raises:
            MartMissingError: There is no such mart.
            PublishError: The table has columns that the mart lacks, or the catalog or the store refused.
        """
        source, target = f"{MARTS}.{mart}", f"{LAKE}.{table}"
        columns = self._find_columns(source)
        if columns is None:
            raise MartMissingError(
                f"The marts' DuckDB file has no {mart} to publish as the Iceberg table {table}. "
                "Materialize the mart first."
            )
        try:
            return self._publish(columns, source, target, months, by_month=by_month)
        except duckdb.Error as error:
            advice = what_helps(
                str(error), "Check that the catalog and the object store work, then materialize it again."
            )
            raise PublishError(
                f"The mart {mart} could not be published as the Iceberg table {table}: {error}. The table is "
                f"unchanged. {advice}"
            ) from error

    def _publish(
        self, columns: list[Column], source: str, target: str, months: Sequence[str], *, by_month: bool
    ) -> Published:
        existing = self._find_columns(target)
        if existing is not None and existing != columns[: len(existing)]:
            raise PublishError(
                f"The columns of the Iceberg table {target} differ from the mart's: "
                f"{_differences(existing or [], columns)}. Drop the table, then publish every month again."
            )
        if existing is not None and existing != columns:
            self._add_columns(target, columns[len(existing) :])
        built = read_contents(self._connection, source, columns, months, by_month=by_month)
        before = read_contents(self._connection, target, columns, months, by_month=by_month) if existing else {}
        differing = sorted(month for month in {*built, *before} if built.get(month) != before.get(month))
        found = before
        if existing is None or differing:
            where = f" where {MONTH_COLUMN} in ({', '.join(map(_literal, differing))})" if by_month else ""
            with self._transaction():
                if existing is None:
                    self.create(target, columns, by_month=by_month)
                if any(month in before for month in differing):
                    self._connection.execute(f"delete from {target}{where}")  # noqa: S608  as in read_contents
                if any(month in built for month in differing):
                    self._connection.execute(f"insert into {target} select * from {source}{where}")  # noqa: S608
            found = read_contents(self._connection, target, columns, months, by_month=by_month)
        return Published(
            columns=columns,
            built=Content.total(built.values()),
            found=Content.total(found.values()),
            rows_written=sum(built[month].rows for month in differing if month in built),
            rows_deleted=sum(before[month].rows for month in differing if month in before),
            snapshot_id=self.snapshot_id(target),
        )

    def _add_columns(self, target: str, columns: Sequence[Column]) -> None:
        """Add columns at the end of a table; the rows that it has are null in them."""
        with self._transaction():
            for column in columns:
                self._connection.execute(f'alter table {target} add column "{column.name}" {column.type}')

    def create(self, target: str, columns: Sequence[Column], *, by_month: bool) -> None:
        """Create an empty table, partitioned by month if it is published by month."""
        described = ", ".join(f'"{column.name}" {column.type}' for column in columns)
        partitioned = f" partitioned by ({MONTH_COLUMN})" if by_month else ""
        self._connection.execute(f"create table {target} ({described}){partitioned}")

    def snapshot_id(self, target: str) -> int | None:
        """Return the id of a table's current snapshot; None if it has none."""
        row = self._connection.execute(
            f"select snapshot_id from iceberg_snapshots({target}) order by sequence_number desc limit 1"  # noqa: S608
        ).fetchone()
        return int(row[0]) if row else None

    def require_namespace(self, namespace: str) -> None:
        """Create a namespace if it does not exist.

        Raises:
            PublishError: The catalog refused.
        """
        try:
            self._connection.execute(f"create schema if not exists {LAKE}.{namespace}")
        except duckdb.Error as error:
            raise PublishError(
                f"The Iceberg catalog did not create the namespace {namespace}: {error}. See the log of the service "
                "iceberg-rest, then materialize again."
            ) from error

    def _find_columns(self, relation: str) -> list[Column] | None:
        try:
            return list_columns(self._connection, relation)
        except duckdb.CatalogException:
            return None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.begin()
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()


def connect(config: DuckDBConfig) -> duckdb.DuckDBPyConnection:
    """Open DuckDB in memory, with the extensions that Iceberg needs.

    Args:
        config: DuckDB's options, from :attr:`Settings.duckdb_config`.

    Returns:
        The connection.

    Raises:
        PublishError: An extension cannot be loaded.
    """
    connection = duckdb.connect(config=config)
    try:
        for extension in EXTENSIONS:
            connection.load_extension(extension)
    except duckdb.Error as error:
        raise PublishError(
            f"DuckDB cannot load its extensions from {config['extension_directory']}: {error}. The image has them in "
            "/app/duckdb_extensions: build it again, or correct the setting DUCKDB_EXTENSION_DIRECTORY."
        ) from error
    return connection


@contextmanager
def open_publisher(settings: Settings, connection: duckdb.DuckDBPyConnection) -> Iterator[Publisher]:
    """Open the marts' file for reading and the Iceberg catalog for writing.

    Args:
        settings: The file's path and the catalog's address.
        connection: The connection from :func:`connect`; closed at the end.

    Yields:
        The publisher.

    Raises:
        MartsError: The file is missing, damaged, or open in another process.
        CatalogError: DuckDB cannot use the catalog.
    """
    with connection:
        try:
            connection.execute(f"attach {_literal(str(settings.marts_duckdb_path))} as {MARTS} (read_only)")
        except duckdb.Error as error:
            raise explain_marts_error(settings.marts_duckdb_path, str(error)) from error
        try:
            connection.execute(_create_secret(settings))
            connection.execute(
                f"attach {_literal(settings.iceberg_warehouse)} as {LAKE} (type iceberg, "
                f"endpoint {_literal(settings.iceberg_catalog_uri)}, authorization_type 'none', "
                "access_delegation_mode 'none', read_only false)"
            )
        except duckdb.Error as error:
            raise CatalogError(
                f"DuckDB cannot attach the Iceberg catalog at {settings.iceberg_catalog_uri}: {error}. See the log of "
                "the service iceberg-rest and the setting ICEBERG_CATALOG_URI."
            ) from error
        yield Publisher(connection)


def _create_secret(settings: Settings) -> str:
    scheme, _, address = settings.s3_endpoint.partition("://")
    return (
        f"create secret object_store (type s3, key_id {_literal(settings.s3_access_key_id.get_secret_value())}, "
        f"secret {_literal(settings.s3_secret_access_key.get_secret_value())}, "
        f"region {_literal(settings.s3_region)}, endpoint {_literal(address.rstrip('/'))}, "
        f"use_ssl {str(scheme == 'https').lower()}, url_style 'path')"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _differences(existing: Sequence[Column], wanted: Sequence[Column]) -> str:
    gone = [f"{column.name} {column.type}" for column in existing if column not in wanted]
    new = [f"{column.name} {column.type}" for column in wanted if column not in existing]
    if not (gone or new):
        return "their order differs"
    return f"the table has {', '.join(gone) or 'nothing'} that the mart lacks, and lacks {', '.join(new) or 'nothing'}"
