"""The DuckDB file of the marts."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from dbt_runner.content import Column, Content
from dbt_runner.errors import MartsLockedError, MartsUnreadableError
from dbt_runner.marts import open_marts


def test_content_is_read_by_month_and_named_by_its_rows(tmp_path: Path) -> None:
    """A month's version must not depend on other months, nor on the order of rows."""
    path = tmp_path / "marts.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute(
            "create table trips as select '2019-0' || n % 3 as trip_month, (n / 2)::decimal(10, 2) as usd "
            "from range(1, 7) as numbers (n)"
        )
        connection.execute("create table shuffled as select * from trips order by usd desc")
        connection.execute("create table zones as select 1 as zone")
    with open_marts(path, {}) as marts:
        contents = marts.read_content('"marts"."main"."trips"')
        assert {month: content.rows for month, content in contents.items()} == {
            "2019-00": 2,
            "2019-01": 2,
            "2019-02": 2,
        }
        assert marts.read_content("shuffled") == contents
        assert marts.read_content("trips", ["2019-02"]) == {"2019-02": contents["2019-02"]}
        assert len({content.version for content in contents.values()}) == 3
        assert Content.total(contents.values()).rows == 6
        assert marts.read_content("zones", ["2019-02"]) == {"": marts.read_content("zones")[""]}
        assert marts.list_columns("trips") == [Column("trip_month", "VARCHAR"), Column("usd", "DECIMAL(10,2)")]


def test_missing_file_is_created(tmp_path: Path) -> None:
    """A new volume is empty."""
    with open_marts(tmp_path / "marts.duckdb", {}):
        pass
    assert (tmp_path / "marts.duckdb").is_file()


def test_file_that_another_process_has_open_is_reported(tmp_path: Path) -> None:
    """DuckDB lets only one process write; the remedy is to wait, not to repair."""
    path = tmp_path / "marts.duckdb"
    hold = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(  # noqa: S603  runs this Python with the line above
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(MartsLockedError, match="open in another process"), open_marts(path, {}):
            pass
        other.communicate()


def test_file_that_is_not_a_duckdb_file_is_reported(tmp_path: Path) -> None:
    """The message says that all its content can be made again from silver."""
    (tmp_path / "marts.duckdb").write_bytes(b"not a database" * 1000)
    with (
        pytest.raises(MartsUnreadableError, match="It is damaged, or of another DuckDB version"),
        open_marts(tmp_path / "marts.duckdb", {}),
    ):
        pass


def test_folder_that_is_not_mounted_is_reported(tmp_path: Path) -> None:
    """The volume is missing, not only the file."""
    with (
        pytest.raises(MartsUnreadableError, match="Expected the marts' volume to be mounted"),
        open_marts(tmp_path / "absent" / "marts.duckdb", {}),
    ):
        pass
