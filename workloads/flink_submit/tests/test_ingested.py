from collections.abc import Iterable

import pyarrow as pa
import pytest
from conftest import BRONZE_SCHEMA, bronze_rows
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from flink_submit.ingested import read_ingested_ends, write_note

Place = tuple[str, int, int]


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    """An empty bronze table."""
    return catalog.create_table("bronze.raw_trips", schema=BRONZE_SCHEMA)


def append(table: Table, places: Iterable[Place]) -> None:
    """Append one row for each topic id, partition and offset."""
    table.append(pa.concat_tables([bronze_rows("2019-01", *place) for place in places]))


def test_an_empty_table_was_never_read_into(table: Table) -> None:
    """The first run starts at the topic's beginning."""
    assert read_ingested_ends(table, "topic") == {}


def test_finds_the_end_of_each_partition_in_the_rows(table: Table) -> None:
    """A step killed after its job committed leaves rows but no note."""
    append(table, [("topic", 0, 4), ("topic", 1, 17), ("topic", 0, 5)])
    append(table, [("topic", 1, 3)])
    assert read_ingested_ends(table, "topic") == {0: 6, 1: 18}


def test_rows_of_a_deleted_topic_of_the_same_name_do_not_count(table: Table) -> None:
    """A topic that was created again starts at offset 0."""
    append(table, [("old", 0, 400), ("new", 0, 2)])
    assert read_ingested_ends(table, "new") == {0: 3}
    assert read_ingested_ends(table, "newest") == {}


def test_a_note_on_the_current_snapshot_counts_offsets_that_hold_no_record(table: Table) -> None:
    """The end of a transaction takes an offset; without the note, its deletion by retention would look like a loss."""
    append(table, [("topic", 0, 4)])
    write_note(table, "topic", {0: 6, 1: 0}, current_id(table))
    assert read_ingested_ends(table, "topic") == {0: 6, 1: 0}


def test_rows_added_after_a_note_are_found(table: Table) -> None:
    """A job that finished after its step was killed is in the table, but not in the note."""
    append(table, [("topic", 0, 4), ("topic", 1, 9)])
    write_note(table, "topic", {0: 6, 1: 11}, current_id(table))
    append(table, [("topic", 0, 20)])
    assert read_ingested_ends(table, "topic") == {0: 21, 1: 11}


def test_a_note_of_a_snapshot_that_was_rolled_back_is_ignored(table: Table) -> None:
    """Otherwise the records that were rolled back would never be ingested again."""
    append(table, [("topic", 0, 4)])
    first = current_id(table)
    append(table, [("topic", 0, 5)])
    write_note(table, "topic", {0: 7}, current_id(table))
    table.manage_snapshots().rollback_to_snapshot(first).commit()
    assert read_ingested_ends(table, "topic") == {0: 5}


def test_a_note_on_a_table_without_snapshots_counts(table: Table) -> None:
    """A topic that holds only aborted transactions leaves the table empty."""
    write_note(table, "topic", {0: 12}, None)
    assert read_ingested_ends(table, "topic") == {0: 12}


def current_id(table: Table) -> int:
    """Return the id of the table's current snapshot."""
    snapshot = table.current_snapshot()
    assert snapshot
    return snapshot.snapshot_id
