"""The versions of the tables' schemas: files of ``sql/flink/migrations``, applied by the step that needs them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from flink_submit.errors import LakeError, SqlFileError, StatementError
from flink_submit.job_runner import JobRunner
from flink_submit.lake import Lake
from flink_submit.sql_files import list_files, read_statements

VERSION_PROPERTY = "drayage.schema_version"
FIRST_VERSION = 1
"""Version of a table as it is created, without any migration and without the property."""

_FOLDER = "migrations"
_COLUMN = re.compile(r"^\s+`?(\w+)`? [A-Z]", re.MULTILINE)


@dataclass(frozen=True)
class Migration:
    """One version of a table's schema.

    Args:
        version: The version that the table has afterwards.
        statement: The one ``ALTER TABLE … ADD`` that makes it of the version before, in a single commit.
        columns: The columns that it adds.
    """

    version: int
    statement: str
    columns: tuple[str, ...]


def migrate(names: Iterable[str], *, lake: Lake, runner: JobRunner) -> None:
    """Bring tables to the latest version of their schemas.

    Two steps may do this at the same time: the catalog accepts one of two changes of a schema, and the step that is
    refused finds the columns of the other. A step that is killed between a change and its note leaves the columns too.

    Args:
        names: Namespace and table of each; all exist.
        lake: The Iceberg tables.
        runner: Runs the statements in a session on Flink.

    Raises:
        LakeError: A table has a later version than this image knows.
        StatementError: Flink refuses a migration.
    """
    for name in names:
        _migrate_table(name, lake, runner)


def find_migrations(name: str) -> list[Migration]:
    """Return a table's migrations, in the order of their versions.

    Args:
        name: Namespace and table.

    Raises:
        SqlFileError: Their numbers have a gap, or a file holds anything but one statement that adds columns.
    """
    files = {int(file.removesuffix(".sql").rpartition(".")[2]): file for file in list_files(f"{_FOLDER}/{name}.*.sql")}
    if sorted(files) != list(range(FIRST_VERSION + 1, FIRST_VERSION + 1 + len(files))):
        raise SqlFileError(
            f"The migrations of {name} have the versions {sorted(files)}. Expected each version from "
            f"{FIRST_VERSION + 1} on."
        )
    return [_read_migration(version, files[version]) for version in sorted(files)]


def _read_migration(version: int, file: str) -> Migration:
    statements = read_statements(file, {})
    columns = tuple(_COLUMN.findall(statements[0])) if len(statements) == 1 else ()
    if not columns:
        raise SqlFileError(
            f"{file} must hold one ALTER TABLE … ADD with a column on each line, but holds {statements}."
        )
    return Migration(version, statements[0], columns)


def _migrate_table(name: str, lake: Lake, runner: JobRunner) -> None:
    migrations = find_migrations(name)
    latest = FIRST_VERSION + len(migrations)
    found = int(lake.load_table(name).properties.get(VERSION_PROPERTY, FIRST_VERSION))
    if found > latest:
        raise LakeError(
            f"{name} has version {found} of its schema, but this image knows only versions up to {latest}. Build the "
            "image from the revision that wrote the table, or a later one."
        )
    for migration in migrations[found - FIRST_VERSION :]:
        _apply(migration, name, lake, runner)
        lake.set_property(name, VERSION_PROPERTY, str(migration.version))


def _apply(migration: Migration, name: str, lake: Lake, runner: JobRunner) -> None:
    if _has_columns(lake, name, migration):
        return
    try:
        runner.execute([migration.statement])
    except StatementError:
        if not _has_columns(lake, name, migration):
            raise


def _has_columns(lake: Lake, name: str, migration: Migration) -> bool:
    return set(migration.columns) <= set(lake.load_table(name).schema().column_names)
