"""A table's content as two numbers, row count and hash, which show whether two tables hold the same rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb

MONTH_COLUMN = "trip_month"


@dataclass(frozen=True)
class Column:
    """A column as DuckDB describes it.

    Args:
        name: The column's name.
        type: DuckDB's name of the type, such as ``DECIMAL(10,2)``.
    """

    name: str
    type: str


@dataclass(frozen=True)
class Content:
    """The content of a table or view, whatever the order of its rows.

    Args:
        rows: Number of rows.
        hash: The sum of the rows' 64-bit hashes, over their columns in order. Comparable within one version of DuckDB.
    """

    rows: int = 0
    hash: int = 0

    @property
    def version(self) -> str:
        """The content's version: the same for the same rows, whenever they were written."""
        return f"{self.rows}-{self.hash:x}"

    def rows_per_second(self, seconds: float) -> float:
        """Return the rows divided by the seconds that they took; less than a millisecond counts as one."""
        return round(self.rows / max(seconds, 0.001), 1)

    @staticmethod
    def total(parts: Iterable["Content"]) -> "Content":
        """Add contents up."""
        listed = list(parts)
        return Content(sum(part.rows for part in listed), sum(part.hash for part in listed))


def list_columns(cursor: duckdb.DuckDBPyConnection, relation: str) -> list[Column]:
    """List the columns of a table or view, in order.

    Args:
        cursor: A connection to the database that holds it.
        relation: The quoted name of the table or view.

    Returns:
        The columns.
    """
    return [Column(row[0], row[1]) for row in cursor.execute(f"describe {relation}").fetchall()]


def has_months(columns: Sequence[Column]) -> bool:
    """Return whether a table with these columns has a month in each row."""
    return any(column.name == MONTH_COLUMN for column in columns)


def read_contents(
    cursor: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[Column],
    months: Sequence[str] = (),
    *,
    by_month: bool,
) -> dict[str, Content]:
    """Read the content of a table or view.

    Args:
        cursor: A connection to the database that holds it.
        relation: The quoted name of the table or view.
        columns: Its columns, or those of a table to compare it with.
        months: The months to read; empty for all.
        by_month: Whether to group the rows by month; if not, ``months`` has no effect.

    Returns:
        Contents by month, or a single content under an empty name.
    """
    names = ", ".join(f'"{column.name}"' for column in columns)
    month = MONTH_COLUMN if by_month else "''"
    where, values = (
        (f" where {MONTH_COLUMN} in (select unnest(?))", [list(months)]) if by_month and months else ("", [])
    )
    # Identifiers cannot be query parameters; these come from the project's manifest and the database.
    rows = cursor.execute(
        f"select {month}, count(*), sum(hash({names})::hugeint) from {relation}{where} group by 1 having count(*) > 0",  # noqa: S608
        values,
    ).fetchall()
    return {row[0]: Content(int(row[1]), int(row[2])) for row in rows}
