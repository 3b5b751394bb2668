"""Changes of the tables that the marts' file keeps from step to step, so that a file of an older version stays usable.

Each migration is a file ``NNNN_what.sql`` in ``sql/dbt/migrations``; the highest number is the version of the project's
tables, and the file of the marts holds the version of its own. Each build makes all other tables from scratch.
"""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from dbt_runner.errors import MartsUnreadableError

_KEPT_TABLE = "core.fct_trips"
_VERSION = "main.marts_version"


def migrate(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    """Bring the marts' file to the project's version; nothing if it has it.

    Only one process at a time can have the file open, so no two steps migrate it at once.

    Args:
        connection: A connection to the file.
        folder: The folder of the migrations.

    Returns:
        The names of the migrations that were applied, in order.

    Raises:
        MartsUnreadableError: The file was made by a later version, or does not fit a migration.
    """
    migrations = {int(file.stem.partition("_")[0]): file for file in sorted(folder.glob("*.sql"))}
    latest = max(migrations, default=0)
    version = _read_version(connection, latest)
    if version > latest:
        raise MartsUnreadableError(
            f"The marts' DuckDB file has tables of version {version}, and this image knows versions up to {latest}: a "
            "later image has built it. Build the image from the current revision again, then materialize again."
        )
    return _apply(connection, {number: file for number, file in migrations.items() if number > version})


def _read_version(connection: duckdb.DuckDBPyConnection, latest: int) -> int:
    """Return the file's version, and write it down if it is not: a file without the kept table needs no migration."""
    found = connection.execute(
        "select table_schema || '.' || table_name from information_schema.tables "
        "where table_catalog = current_catalog()"
    ).fetchall()
    if (_VERSION,) not in found:
        first = 0 if (_KEPT_TABLE,) in found else latest
        connection.execute(f"create table {_VERSION} as select {first} as version")
    row = connection.execute(f"select version from {_VERSION}").fetchone()  # noqa: S608  a constant
    return int(row[0]) if row else 0


def _apply(connection: duckdb.DuckDBPyConnection, migrations: Mapping[int, Path]) -> list[str]:
    for number, file in migrations.items():
        connection.begin()
        try:
            connection.execute(file.read_text(encoding="utf-8"))
            connection.execute(f"update {_VERSION} set version = {number}")  # noqa: S608  a constant and a number
        except duckdb.Error as error:
            connection.rollback()
            raise MartsUnreadableError(
                f"The marts' DuckDB file does not fit the migration {file.name}: {error}. Move the file away, then "
                "materialize every month of the marts again: all its content is made from silver."
            ) from error
        connection.commit()
    return [file.stem for file in migrations.values()]
