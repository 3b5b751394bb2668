import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from trip_files import MONTH, ROWS, Write, read, refused

from generator.errors import (
    TripFileCutOffError,
    TripFileEmptyError,
    TripFileError,
    TripFileUnreadableError,
    TripValueError,
)
from generator.event_schema import TRIP_SCHEMA, TRIP_WITH_ID_SCHEMA
from generator.month import Month
from generator.trip_file import TripFile, choose_file
from generator.trip_format import BATCH_ROWS


def test_a_file_yields_its_trips_with_ids_of_month_content_and_row(trips: pa.Table, write: Write) -> None:
    """Both formats yield the same trips, and ids that lead back to the row."""
    path = write(trips)
    found = read(path)
    assert found.schema == TRIP_WITH_ID_SCHEMA
    assert found.drop_columns(["event_id"]).equals(trips.cast(TRIP_SCHEMA))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert found["event_id"][0].as_py() == f"2019-01.{digest}.000000001"
    assert found["event_id"][ROWS - 1].as_py() == f"2019-01.{digest}.000000300"


def test_a_file_knows_how_many_trips_it_has_and_adds_no_faults(trips: pa.Table, write: Write) -> None:
    """A replay sends each trip of the file once."""
    file = TripFile(MONTH, write(trips))
    assert (file.events, file.faults, file.kind) == (ROWS, (0, 0), "file")


def test_a_file_without_a_byte_is_empty(trips: pa.Table, write: Write) -> None:
    """A failed download leaves such a file."""
    path = write(trips)
    path.write_bytes(b"")
    assert "0 bytes" in refused(path, TripFileEmptyError)


def test_a_file_without_a_row_is_empty(trips: pa.Table, write: Write) -> None:
    """A month without trips is an error."""
    assert "without any row" in refused(write(trips.slice(0, 0)), TripFileEmptyError)


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_refused_before_its_first_trip(trips: pa.Table, write: Write, kept: float) -> None:
    """An interrupted download leaves such a file, wherever it was interrupted."""
    path = write(trips)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert "cut off" in refused(path, TripFileCutOffError)


def test_a_file_that_is_not_what_its_name_says_is_refused(trips: pa.Table, write: Write) -> None:
    """An example is an error page saved under the file's name."""
    path = write(trips)
    path.write_bytes(b"\x89PNG\xff\n" * 100)
    refused(path, TripFileUnreadableError)


def test_damage_in_the_middle_of_a_parquet_file_is_found_before_its_first_trip(trips: pa.Table, tmp_path: Path) -> None:
    """The whole file is read before anything is sent."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    pq.write_table(trips, path, compression="zstd")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1000] = b"\xff" * 1000
    path.write_bytes(content)
    refused(path, TripFileUnreadableError)


def test_a_csv_line_with_too_few_values_is_named(trips: pa.Table, tmp_path: Path) -> None:
    """The line's number is needed to find it in an editor."""
    path = tmp_path / "yellow_tripdata_2019-01.csv"
    pyarrow.csv.write_csv(trips, path)
    lines = path.read_text().splitlines()
    lines[100] = "1,2019-01-01 00:00:00"
    path.write_text("\n".join(lines) + "\n")
    text = refused(path, TripValueError)
    assert "line 101 has a wrong number of values" in text
    assert "expected 19; got 2" in text


def test_a_csv_with_windows_line_ends_a_byte_order_mark_and_blank_lines_is_read(
    trips: pa.Table, tmp_path: Path
) -> None:
    """Spreadsheets write such files, and so did the TLC sometimes."""
    path = tmp_path / "yellow_tripdata_2019-01.csv"
    pyarrow.csv.write_csv(trips, path)
    lines = path.read_text().splitlines()
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([lines[0], "", *lines[1:], ""]).encode())
    assert read(path).drop_columns(["event_id"]).equals(trips.cast(TRIP_SCHEMA))


def test_a_file_that_changes_while_it_is_sent_is_an_error(trips: pa.Table, write: Write) -> None:
    """The event ids name the content that was checked."""
    file = TripFile(MONTH, write(trips))
    write(trips.slice(0, 200))
    with pytest.raises(TripFileError, match=r"changed while it was sent .*; expected 300 rows; got 200"):
        list(file.batches())


def test_a_file_that_cannot_be_read_is_refused(trips: pa.Table, write: Write) -> None:
    """An unreadable file or a dangling link does not mean that the month has no file."""
    path = write(trips)
    path.unlink()
    path.symlink_to(path.parent / "nowhere")
    assert "No such file" in refused(path, TripFileUnreadableError)


def test_the_months_file_is_found_and_parquet_preferred(tmp_path: Path) -> None:
    """A month has one source."""
    assert choose_file(tmp_path, MONTH) is None
    csv_file = tmp_path / "yellow_tripdata_2019-01.csv"
    csv_file.touch()
    assert choose_file(tmp_path, MONTH) == csv_file
    parquet_file = tmp_path / "yellow_tripdata_2019-01.parquet"
    parquet_file.touch()
    assert choose_file(tmp_path, MONTH) == parquet_file
    assert choose_file(tmp_path, Month(2019, 2)) is None


def test_a_missing_folder_is_an_error_and_not_an_empty_folder(tmp_path: Path) -> None:
    """Otherwise a mistyped folder would silently lead to a synthetic month."""
    with pytest.raises(TripFileUnreadableError, match=f"{tmp_path / 'nowhere'}.*No such file.*to do:"):
        choose_file(tmp_path / "nowhere", MONTH)


def test_a_file_comes_in_small_batches_however_large_a_row_group_is(trips: pa.Table, tmp_path: Path) -> None:
    """Older files of the TLC have a single row group of millions of rows."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    many = pa.concat_tables([trips] * 500)
    pq.write_table(many, path, row_group_size=len(many))
    assert max(batch.num_rows for batch in TripFile(MONTH, path).batches()) <= BATCH_ROWS < len(many)
