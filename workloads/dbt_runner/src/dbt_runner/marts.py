"""The DuckDB file that dbt writes the marts to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from dbt_runner.content import Column, Content, has_months, list_columns, read_contents
from dbt_runner.errors import OUT_OF_MEMORY, OUT_OF_MEMORY_ADVICE, MartsError, MartsLockedError, MartsUnreadableError
from dbt_runner.settings import DuckDBConfig


class Marts:
    """The open file, beside dbt's own connections to it.

    Args:
        connection: A connection with the same settings as dbt's; DuckDB lets them share one instance of the file.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def read_content(self, relation: str, months: Sequence[str] = ()) -> dict[str, Content]:
        """Read what a table or view holds, month by month.

        Args:
            relation: Its quoted name.
            months: Only rows of these months, if the relation has months; empty for all rows.

        Returns:
            Contents by month; of a relation without months one, under an empty name.
        """
        with self._connection.cursor() as cursor:
            columns = list_columns(cursor, relation)
            return read_contents(cursor, relation, columns, months, by_month=has_months(columns))

    def read_rows(self, relation: str) -> list[dict[str, Any]]:
        """Read all rows of a small table.

        Args:
            relation: Its quoted name.

        Returns:
            The rows, values by column.
        """
        with self._connection.cursor() as cursor:
            rows = cursor.execute(f"select * from {relation} order by all")  # noqa: S608  as in read_contents
            names = [column[0] for column in rows.description]
            return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]

    def list_columns(self, relation: str) -> list[Column]:
        """List the columns of a table or view, in order.

        Args:
            relation: Its quoted name.

        Returns:
            The columns.
        """
        with self._connection.cursor() as cursor:
            return list_columns(cursor, relation)


@contextmanager
def open_marts(path: Path, config: DuckDBConfig) -> Iterator[Marts]:
    """Open the file for as long as dbt works on it; it is made if it is not there.

    Args:
        path: The DuckDB file.
        config: As :attr:`Settings.duckdb_config` has it.

    Yields:
        The open file.

    Raises:
        MartsLockedError: Another process has it open.
        MartsUnreadableError: It is damaged, is no DuckDB file, may not be written, or needs more memory than there is.
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
    """Tell why the file could not be opened, from DuckDB's words for it."""
    if "lock on file" in reason:
        return MartsLockedError(
            f"The marts' DuckDB file {path} is open in another process ({reason}); one process at a time can write it. "
            "Wait for the other dbt step, or close the DuckDB client that has the file open, then materialize again."
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
        "all it holds is made from silver."
    )
