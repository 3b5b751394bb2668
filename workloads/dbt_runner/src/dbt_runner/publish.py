"""The command ``publish``: publish the marts of the step's months as Iceberg tables, one catalog commit each."""

import time

import duckdb
from dagster_pipes import PipesContext

from dbt_runner.iceberg import Published, connect, open_publisher
from dbt_runner.lake import require_source
from dbt_runner.request import Mart, describe_months, read_publication
from dbt_runner.settings import Settings
from dbt_runner.silver import require_months

CHECK = "published_rows_are_the_marts"


def load(settings: Settings) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with its extensions, which does not depend on the month.

    Args:
        settings: Addresses and paths.

    Returns:
        The connection.

    Raises:
        PublishError: An extension cannot be loaded.
    """
    return connect(settings.duckdb_config)


def publish(pipes: PipesContext, settings: Settings, connection: duckdb.DuckDBPyConnection) -> None:
    """Publish the step's tables, and report each.

    Args:
        pipes: The step's Pipes context.
        settings: Addresses and paths.
        connection: The connection from :func:`load`.

    Raises:
        DbtRunnerError: The step fails; the message says what to do.
    """
    publication = read_publication(pipes)
    require_source(settings)
    pipes.log.info("publishing %s of %d marts", describe_months(publication.months), len(publication.tables))
    with open_publisher(settings, connection) as publisher:
        require_months(connection, publication.months)
        for namespace in sorted({key.partition("/")[0] for key in publication.tables}):
            publisher.require_namespace(namespace)
        for key, mart in publication.tables.items():
            started = time.monotonic()
            table = key.replace("/", ".")
            published = publisher.publish(mart.relation, table, publication.months, by_month=mart.by_month)
            _report(pipes, key, mart, published, time.monotonic() - started)


def _report(pipes: PipesContext, key: str, mart: Mart, published: Published, execution_s: float) -> None:
    table = key.replace("/", ".")
    pipes.log.info(
        "table %s: %d rows in %.2f s, %d written, %d deleted, snapshot %s",
        table,
        published.found.rows,
        execution_s,
        published.rows_written,
        published.rows_deleted,
        published.snapshot_id,
    )
    columns = [
        {"name": column.name, "type": column.type, "description": mart.columns.get(column.name)}
        for column in published.columns
    ]
    lineage = {
        column.name: [{"asset_key": mart.relation.split("."), "column_name": column.name}]
        for column in published.columns
    }
    pipes.report_asset_materialization(
        asset_key=key,
        data_version=published.found.version,
        metadata={
            "execution_s": {"raw_value": round(execution_s, 3), "type": "float"},
            "rows_per_second": {"raw_value": published.found.rows_per_second(execution_s), "type": "float"},
            "rows_written": {"raw_value": published.rows_written, "type": "int"},
            "rows_deleted": {"raw_value": published.rows_deleted, "type": "int"},
            # Text, because JavaScript's numbers cannot represent its 63 bits exactly.
            "snapshot_id": {"raw_value": str(published.snapshot_id or "none"), "type": "text"},
            "dagster/row_count": {"raw_value": published.found.rows, "type": "int"},
            "dagster/table_name": {"raw_value": table, "type": "text"},
            "dagster/column_schema": {"raw_value": {"columns": columns}, "type": "table_schema"},
            "dagster/column_lineage": {"raw_value": {"deps_by_column": lineage}, "type": "table_column_lineage"},
        },
    )
    pipes.report_asset_check(
        check_name=CHECK,
        asset_key=key,
        passed=published.found == published.built,
        severity="ERROR",
        metadata={
            "mart_rows": {"raw_value": published.built.rows, "type": "int"},
            "published_rows": {"raw_value": published.found.rows, "type": "int"},
        },
    )
