from pathlib import Path

import pytest
from conftest import SQL_DIRECTORY

from flink_submit.errors import SqlFileError
from flink_submit.sql_files import read_statements, split_statements


def write(directory: Path, text: str) -> Path:
    """Write one SQL file."""
    (directory / "file.sql").write_text(text, encoding="utf-8")
    return directory


def test_fills_in_each_placeholder_and_keeps_escaped_dollars(tmp_path: Path) -> None:
    """Some of Flink's option names begin with a dollar."""
    sql = "SET '$$internal.pipeline.job-id' = '${job_id}';\nSELECT '${month}';\n"
    values = {"job_id": "ab", "month": "2019-01"}
    assert read_statements("file.sql", values, write(tmp_path, sql)) == [
        "SET '$internal.pipeline.job-id' = 'ab'",
        "SELECT '2019-01'",
    ]


def test_refuses_a_placeholder_without_a_value_and_a_value_without_a_placeholder(tmp_path: Path) -> None:
    """A misspelt name would otherwise reach Flink as text."""
    directory = write(tmp_path, "SELECT '${month}';")
    with pytest.raises(SqlFileError, match=r"without a value \['month'\], without a placeholder \['moth'\]"):
        read_statements("file.sql", {"moth": "2019-01"}, directory)


@pytest.mark.parametrize("value", ["2019' OR '1'='1", "a\nb", "*/ DROP"])
def test_refuses_a_value_that_could_leave_its_quotes(tmp_path: Path, value: str) -> None:
    """Settings and topic names come from outside."""
    with pytest.raises(SqlFileError, match=r"The values of \['month'\]"):
        read_statements("file.sql", {"month": value}, write(tmp_path, "SELECT '${month}';"))


def test_refuses_a_lonely_dollar(tmp_path: Path) -> None:
    """It is usually a placeholder with a typing error."""
    with pytest.raises(SqlFileError, match=r"\$\$ for a dollar"):
        read_statements("file.sql", {}, write(tmp_path, "SELECT * FROM `bronze$ snapshots`;"))


def test_names_the_missing_file(tmp_path: Path) -> None:
    """An image built from the wrong context lacks all files."""
    with pytest.raises(SqlFileError, match=r"absent\.sql cannot be read"):
        read_statements("absent.sql", {}, tmp_path)


def test_splits_outside_of_quotes_names_hints_and_comments() -> None:
    """The gateway accepts one statement at a time."""
    sql = """
    -- a comment; with a semicolon, and an apostrophe's mark
    SELECT 'a;b''c', `d;e` FROM t /*+ OPTIONS('x;y' = 'z') */; -- the end
    SELECT 1 - 2 / 3;
    """
    assert split_statements(sql) == ["SELECT 'a;b''c', `d;e` FROM t /*+ OPTIONS('x;y' = 'z') */", "SELECT 1 - 2 / 3"]


def test_takes_a_statement_set_for_one_statement() -> None:
    """Its INSERT statements are one job, and commit together or not at all."""
    sql = "SET 'a' = 'b'; EXECUTE STATEMENT SET\nBEGIN\nINSERT INTO a SELECT 1;\nINSERT INTO b SELECT 2;\nEND;"
    assert [statement.split()[0] for statement in split_statements(sql)] == ["SET", "EXECUTE"]


def test_refuses_text_that_ends_within_a_statement() -> None:
    """A forgotten semicolon would silently drop the last statement."""
    with pytest.raises(SqlFileError, match=r"ends within a statement, after: 'SELECT 2'"):
        split_statements("SELECT 1; SELECT 2")


@pytest.mark.parametrize("path", sorted(SQL_DIRECTORY.glob("*.sql")), ids=lambda path: path.name)
def test_every_file_states_grain_and_rerun_and_holds_no_credential(path: Path) -> None:
    """Credentials in SQL would appear in the gateway's log and in Flink's UI."""
    sql = path.read_text(encoding="utf-8")
    assert sql.startswith("-- Grain: ")
    assert "\n-- Rerun: " in sql
    assert not [word for word in ("access-key-id", "secret-access-key", "password") if f"'{word}" in sql.lower()]
