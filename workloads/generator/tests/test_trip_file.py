import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from trip_files import MONTH, ROWS, TLC_COLUMNS, Write, read, refused

from generator.errors import (
    TripFileCutOffError,
    TripFileEmptyError,
    TripFileError,
    TripFileUnreadableError,
)
from generator.event_schema import TRIP_SCHEMA, TRIP_WITH_ID_SCHEMA
from generator.trip_file import TripFile
from generator.trip_parquet import BATCH_ROWS


def test_a_file_yields_its_trips_with_ids_of_month_content_and_row(trips: pa.Table, write: Write) -> None:
    """Both formats yield the same trips, and ids that lead back to the row."""
    path = write(trips)
    found = read(path)
    assert found.schema == TRIP_WITH_ID_SCHEMA
    assert found.select(TLC_COLUMNS).equals(trips)
    for column in set(TRIP_SCHEMA.names) - set(TLC_COLUMNS):
        assert found[column].null_count == ROWS
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert TripFile(MONTH, path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["event_id"][0].as_py() == f"2019-01.{digest}.000000001"
    assert found["event_id"][ROWS - 1].as_py() == f"2019-01.{digest}.000000300"


def test_a_file_knows_how_many_trips_it_has_and_adds_no_faults(trips: pa.Table, write: Write) -> None:
    """A replay sends each trip of the file once."""
    file = TripFile(MONTH, write(trips))
    assert (file.events, file.faults) == (ROWS, (0, 0))


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


def test_errors_name_the_file_as_its_owner_does(tmp_path: Path) -> None:
    """The file that is read is a copy, at a path that means nothing to anyone."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    path.write_bytes(b"")
    with pytest.raises(TripFileEmptyError, match=r"\(s3://landing/yellow/a.parquet\)") as caught:
        TripFile(MONTH, path, where="s3://landing/yellow/a.parquet")
    assert str(tmp_path) not in str(caught.value)


def test_a_file_comes_in_small_batches_however_large_a_row_group_is(trips: pa.Table, tmp_path: Path) -> None:
    """Older files of the TLC have a single row group of millions of rows."""
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    many = pa.concat_tables([trips] * 500)
    pq.write_table(many, path, row_group_size=len(many))
    assert max(batch.num_rows for batch in TripFile(MONTH, path).batches()) <= BATCH_ROWS < len(many)
