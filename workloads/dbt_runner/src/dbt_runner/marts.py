"""The DuckDB file that dbt writes the marts to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from dbt_runner.content import Column, Content, has_months, list_columns, read_contents
from dbt_runner.errors import OUT_OF_MEMORY, OUT_OF_MEMORY_ADVICE, MartsError, MartsLockedError, MartsUnreadableError
from dbt_runner.migrations import migrate
from dbt_runner.settings import DuckDBConfig


class Marts:
    """The open file, used alongside dbt's own connections.

    Args:
        connection: A connection with the same settings as dbt's; DuckDB then shares one instance of the file.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def migrate(self, folder: Path) -> list[str]:
        """Bring the file's tables to the project's version, as :func:`dbt_runner.migrations.migrate` does."""
        return migrate(self._connection, folder)

    def read_content(self, relation: str, months: Sequence[str] = ()) -> dict[str, Content]:
        """Read the content of a table or view, month by month.

        Args:
            relation: The quoted name of the table or view.
            months: The months to read, if the relation has months; empty for all rows.

        Returns:
            Contents by month; for a relation without months a single content, under an empty name.
        """
        with self._connection.cursor() as cursor:
            columns = list_columns(cursor, relation)
            return read_contents(cursor, relation, columns, months, by_month=has_months(columns))

    def read_rows(self, relation: str) -> list[dict[str, Any]]:
        """Read all rows of a small table.

        Args:
            relation: The quoted name of the table.

        Returns:
            The rows, each as values by column name.
        """
        with self._connection.cursor() as cursor:
            rows = cursor.execute(f"select * from {relation} order by all")  # noqa: S608  as in read_contents
            names = [column[0] for column in rows.description]
            return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]

    def list_columns(self, relation: str) -> list[Column]:
        """List the columns of a table or view, in order.

        Args:
            relation: The quoted name of the table or view.

        Returns:
            The columns.
        """
        with self._connection.cursor() as cursor:
            return list_columns(cursor, relation)


@contextmanager
def open_marts(path: Path, config: DuckDBConfig) -> Iterator[Marts]:
    """Open the file while dbt works on it; create it if it does not exist.

    Args:
        path: The DuckDB file.
        config: DuckDB's options, from :attr:`Settings.duckdb_config`.

    Yields:
        The open file.

    Raises:
        MartsLockedError: Another process has it open.
        MartsUnreadableError: It is damaged, is not a DuckDB file, may not be written, or needs more memory than there
            is.
    """
    try:
        connection = duckdb.connect(path, config=config)
    except duckdb.Error as error:
        raise explain_marts_error(path, str(error)) from error
    with connection:
        try:
            yield Marts(connection)
        except duckdb.OutOfMemoryException as error:
            raise explain_marts_error(path, str(error)) from error


def explain_marts_error(path: Path, reason: str) -> MartsError:
    """Return the error that explains DuckDB's reason for not opening the file."""
    if "lock on file" in reason:
        return MartsLockedError(
            f"The marts' DuckDB file {path} is open in another process ({reason}); only one process at a time can "
            "write it. Wait for the other dbt step, or close the DuckDB client that has the file open, then "
            "materialize again."
        )
    if "Permission denied" in reason or "does not exist" in reason or "No such file" in reason:
        return MartsUnreadableError(
            f"The marts' DuckDB file {path} cannot be written ({reason}). Expected the marts' volume to be mounted at "
            f"{path.parent} and writable by the container's user. Check the mount and its owner."
        )
    if OUT_OF_MEMORY in reason:
        return MartsUnreadableError(
            f"The marts' DuckDB file {path} cannot be used within DuckDB's memory ({reason}). {OUT_OF_MEMORY_ADVICE}"
        )
    return MartsUnreadableError(
        f"The marts' DuckDB file {path} cannot be read ({reason}). It is damaged, or of another DuckDB version than "
        f"{duckdb.__version__}. Move it away, then materialize every month of the marts again: "
        "all its content is made from silver."
    )
