"""What a table holds, in two numbers: enough to tell whether two tables hold the same rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb

MONTH_COLUMN = "trip_month"


@dataclass(frozen=True)
class Column:
    """A column as DuckDB has it.

    Args:
        name: Its name.
        type: DuckDB's name of its type, such as ``DECIMAL(10,2)``.
    """

    name: str
    type: str


@dataclass(frozen=True)
class Content:
    """Rows in any order.

    Args:
        rows: How many.
        hash: The sum of the rows' 64-bit hashes, over their columns in order. Tells contents apart within one version
            of DuckDB.
    """

    rows: int = 0
    hash: int = 0

    @property
    def version(self) -> str:
        """A name of the content: the same for the same rows, whenever they were written."""
        return f"{self.rows}-{self.hash:x}"

    def rows_per_second(self, seconds: float) -> float:
        """Its rows by the seconds that they took; less than a millisecond counts as one."""
        return round(self.rows / max(seconds, 0.001), 1)

    @staticmethod
    def total(parts: Iterable["Content"]) -> "Content":
        """Put contents together."""
        listed = list(parts)
        return Content(sum(part.rows for part in listed), sum(part.hash for part in listed))


def list_columns(cursor: duckdb.DuckDBPyConnection, relation: str) -> list[Column]:
    """List the columns of a table or view, in order.

    Args:
        cursor: Where it is.
        relation: Its quoted name.
    """
    return [Column(row[0], row[1]) for row in cursor.execute(f"describe {relation}").fetchall()]


def has_months(columns: Sequence[Column]) -> bool:
    """Tell whether each row belongs to a month."""
    return any(column.name == MONTH_COLUMN for column in columns)


def read_contents(
    cursor: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[Column],
    months: Sequence[str] = (),
    *,
    by_month: bool,
) -> dict[str, Content]:
    """Read what a table or view holds.

    Args:
        cursor: Where it is.
        relation: Its quoted name.
        columns: Its columns, or those of a table to compare it with.
        months: Leave out the rows of other months; empty for all.
        by_month: Whether its rows are told apart by month; else ``months`` has no meaning.

    Returns:
        Contents by month, or one under an empty name.
    """
    names = ", ".join(f'"{column.name}"' for column in columns)
    month = MONTH_COLUMN if by_month else "''"
    where, values = (
        (f" where {MONTH_COLUMN} in (select unnest(?))", [list(months)]) if by_month and months else ("", [])
    )
    # The names come from the project's manifest and the database, and an identifier cannot be a parameter.
    rows = cursor.execute(
        f"select {month}, count(*), sum(hash({names})::hugeint) from {relation}{where} group by 1 having count(*) > 0",  # noqa: S608
        values,
    ).fetchall()
    return {row[0]: Content(int(row[1]), int(row[2])) for row in rows}
