import json
import re
from pathlib import Path

import httpx
import pytest
from conftest import SQL_DIRECTORY, CatalogInAFile
from fake_flink import FakeFlink
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import NestedField, StringType

from flink_submit.errors import LakeError, SqlFileError, StatementError
from flink_submit.job_runner import JobRunner
from flink_submit.lake import Lake
from flink_submit.migrations import VERSION_PROPERTY, find_migrations, migrate
from flink_submit.sql_files import DIRECTORY_VARIABLE

NAME = "bronze.raw_trips"
WRITES = {
    "bronze.raw_trips": ("bronze_tables.sql", "bronze_ingest.sql"),
    "silver.cleaned_trips": ("silver_tables.sql", "silver_write.sql"),
    "silver.rejected_trips": ("silver_tables.sql", "silver_write.sql"),
    "silver.month_counts": ("silver_tables.sql", "silver_write.sql"),
}


@pytest.fixture(autouse=True)
def table(catalog: CatalogInAFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """A table of the first version; two migrations of it."""
    (tmp_path / "migrations").mkdir()
    for version, column in ((2, "fee"), (3, "note")):
        text = f"-- Why.\nALTER TABLE lake.{NAME} ADD (\n    `{column}` STRING COMMENT 'a NOTE, (as received)'\n);\n"
        (tmp_path / f"migrations/{NAME}.{version}.sql").write_text(text, encoding="utf-8")
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    return catalog.create_table(NAME, schema=Schema(NestedField(1, "event_id", StringType())))


def add_columns(table: Table, *columns: str) -> None:
    """Add columns, as Flink or another step does."""
    with table.refresh().update_schema() as update:
        for column in columns:
            update.add_column(column, StringType())


def let_flink_add_columns(flink: FakeFlink, table: Table) -> None:
    """Let each ALTER TABLE take effect, also one that Flink then refuses: another step's took effect first."""

    def add(request: httpx.Request) -> None:
        """Add the statement's column."""
        statement = json.loads(request.content)["statement"] if request.url.path.endswith("/statements") else ""
        if statement.startswith("ALTER"):
            add_columns(table, *re.findall(r"`(\w+)`", statement))

    flink.before_answer = add


def altered(flink: FakeFlink) -> list[str]:
    """Return the columns that Flink was asked to add."""
    return [re.findall(r"`(\w+)`", text)[0] for text in flink.statements if text.startswith("ALTER")]


def test_brings_a_table_of_the_first_version_to_the_latest_and_once(
    table: Table, flink: FakeFlink, lake: Lake, runner: JobRunner
) -> None:
    """Tables of an earlier release have no property; a second step finds nothing to do."""
    let_flink_add_columns(flink, table)
    migrate([NAME], lake=lake, runner=runner)
    migrate([NAME], lake=lake, runner=runner)
    assert altered(flink) == ["fee", "note"]
    assert table.refresh().properties[VERSION_PROPERTY] == "3"
    assert table.schema().column_names == ["event_id", "fee", "note"]


def test_goes_on_from_the_version_of_the_table(table: Table, flink: FakeFlink, lake: Lake, runner: JobRunner) -> None:
    """A table may be one version behind, or two."""
    lake.set_property(NAME, VERSION_PROPERTY, "2")
    let_flink_add_columns(flink, table)
    migrate([NAME], lake=lake, runner=runner)
    assert altered(flink) == ["note"]


def test_a_step_that_was_killed_before_it_noted_the_version_is_continued(
    table: Table, flink: FakeFlink, lake: Lake, runner: JobRunner
) -> None:
    """Flink would refuse to add a column that is there, in every later step."""
    add_columns(table, "fee", "note")
    migrate([NAME], lake=lake, runner=runner)
    assert altered(flink) == []
    assert table.refresh().properties[VERSION_PROPERTY] == "3"


def test_the_slower_of_two_steps_finds_the_columns_of_the_other(
    table: Table, flink: FakeFlink, lake: Lake, runner: JobRunner
) -> None:
    """The catalog accepts one of two changes of a schema, and both steps need the columns."""
    let_flink_add_columns(flink, table)
    flink.alter_refusal = "Caused by: org.apache.iceberg.exceptions.CommitFailedException: schema id changed"
    migrate([NAME], lake=lake, runner=runner)
    assert table.refresh().properties[VERSION_PROPERTY] == "3"


def test_a_refused_change_is_tried_again_by_the_next_step(
    table: Table, flink: FakeFlink, lake: Lake, runner: JobRunner
) -> None:
    """A version that is noted without its columns would break every later job."""
    flink.alter_refusal = "Caused by: java.lang.IllegalStateException: no"
    with pytest.raises(StatementError, match="no"):
        migrate([NAME], lake=lake, runner=runner)
    assert VERSION_PROPERTY not in table.refresh().properties
    flink.alter_refusal = ""
    let_flink_add_columns(flink, table)
    migrate([NAME], lake=lake, runner=runner)
    assert table.refresh().properties[VERSION_PROPERTY] == "3"


def test_refuses_a_table_of_a_later_release(lake: Lake, runner: JobRunner) -> None:
    """This image's INSERT would not fit the table, and Flink's message would not say why."""
    lake.set_property(NAME, VERSION_PROPERTY, "4")
    with pytest.raises(LakeError, match=r"version 4 of its schema, but this image knows only versions up to 3"):
        migrate([NAME], lake=lake, runner=runner)


def test_refuses_a_gap_between_the_versions_and_more_than_one_change_in_a_file(tmp_path: Path) -> None:
    """A file of two statements could take effect by half."""
    file = tmp_path / f"migrations/{NAME}.3.sql"
    file.write_text(file.read_text(encoding="utf-8") * 2, encoding="utf-8")
    with pytest.raises(SqlFileError, match=r"raw_trips\.3\.sql must hold one ALTER TABLE"):
        find_migrations(NAME)
    (tmp_path / f"migrations/{NAME}.2.sql").unlink()
    with pytest.raises(SqlFileError, match=r"have the versions \[3\]"):
        find_migrations(NAME)


@pytest.mark.parametrize("name", WRITES)
def test_each_table_gets_the_columns_of_its_latest_version_in_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flink matches the columns of an INSERT by position: two of one type could silently change places."""
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(SQL_DIRECTORY))
    tables, writes = ((SQL_DIRECTORY / file).read_text(encoding="utf-8") for file in WRITES[name])
    (created,) = re.findall(rf"lake\.{name} \(\n(.*?)\n\)", tables, re.DOTALL)
    columns = re.findall(r"^    `?(\w+)`? [A-Z]", created, re.MULTILINE)
    for migration in find_migrations(name):
        columns += migration.columns
    (selected,) = re.findall(rf"lake\.{name}\nSELECT\n(.*?)\nFROM", writes, re.DOTALL)
    assert [re.split(r"[ .]", line.strip(" ,").replace("`", ""))[-1] for line in _outer_lines(selected)] == columns


def _outer_lines(selected: str) -> list[str]:
    """Return the lines of a select list that end a column: those outside of parentheses, or that close them."""
    lines = selected.splitlines()
    return [line for line in lines if line.startswith("    ") and line[4] != " " and not line.endswith("(")]
