"""The DuckDB file that dbt writes the marts to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from dbt_runner.errors import MartsError, MartsLockedError, MartsUnreadableError


@dataclass(frozen=True)
class Column:
    """A column as DuckDB has it.

    Args:
        name: Its name.
        type: DuckDB's name of its type, such as ``DECIMAL(10,2)``.
    """

    name: str
    type: str


class Marts:
    """The open file, beside dbt's own connections to it.

    Args:
        connection: A connection with the same settings as dbt's; DuckDB lets them share one instance of the file.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def count_rows(self, relation: str, month: str | None = None) -> int:
        """Count the rows of a table or view.

        Args:
            relation: Its quoted name.
            month: Count only rows whose ``trip_month`` is this; None for all rows.

        Returns:
            The number of rows.
        """
        where, values = (" where trip_month = ?", [month]) if month else ("", [])
        with self._connection.cursor() as cursor:
            # The name comes from the project's manifest, and an identifier cannot be a parameter.
            row = cursor.execute(f"select count(*) from {relation}{where}", values).fetchone()  # noqa: S608
        return int(row[0]) if row else 0

    def list_columns(self, relation: str) -> list[Column]:
        """List the columns of a table or view, in order.

        Args:
            relation: Its quoted name.

        Returns:
            The columns.
        """
        with self._connection.cursor() as cursor:
            return [Column(row[0], row[1]) for row in cursor.execute(f"describe {relation}").fetchall()]


@contextmanager
def open_marts(path: Path, extension_directory: Path) -> Iterator[Marts]:
    """Open the file for as long as dbt works on it; it is made if it is not there.

    Args:
        path: The DuckDB file.
        extension_directory: Where DuckDB's extensions are; as in dbt's profile, or the two could not share the file.

    Yields:
        The open file.

    Raises:
        MartsLockedError: Another process has it open.
        MartsUnreadableError: It is damaged, is no DuckDB file, or may not be written.
    """
    try:
        connection = duckdb.connect(path, config={"extension_directory": str(extension_directory)})
    except duckdb.Error as error:
        raise _explain(path, str(error)) from error
    with connection:
        yield Marts(connection)


def _explain(path: Path, reason: str) -> MartsError:
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
    return MartsUnreadableError(
        f"The marts' DuckDB file {path} cannot be read ({reason}). It is damaged, or of another DuckDB version than "
        f"{duckdb.__version__}. Move it away, then materialize every month of the marts again: "
        "all it holds is made from silver."
    )
