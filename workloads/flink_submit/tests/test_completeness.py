import pytest
from conftest import BRONZE_SCHEMA, CatalogInAFile, bronze_rows, undecodable_rows
from pyiceberg.table import Table

from flink_submit.completeness import count_version_rows
from flink_submit.errors import LakeError
from flink_submit.ingested import write_note
from flink_submit.lake import Lake
from flink_submit.month_versions import CurrentVersion

VERSION = CurrentVersion(
    month="2019-01",
    source="synthetic",
    source_version="seed-42-events-4.89abcdef",
    source_name="synthetic, seed 42, 4 events",
    events=4,
    topic="taxi.raw_trips",
    topic_id="topic",
    offsets={0: (10, 12), 1: (5, 5)},
)


@pytest.fixture
def bronze(catalog: CatalogInAFile) -> Table:
    """An empty bronze."""
    table = catalog.create_table("bronze.raw_trips", schema=BRONZE_SCHEMA)
    with table.update_spec() as spec:
        spec.add_identity("trip_month")
    return table


def ingest(table: Table, partition: int, *offsets: int, topic_id: str = "topic", month: str = "2019-01") -> None:
    """Ingest rows of the version, or of its sending to another topic or for another month."""
    rows = bronze_rows(month, topic_id, partition, *offsets, source_version=VERSION.source_version)
    table.refresh().append(rows)


def test_counts_all_rows_of_the_version(bronze: Table, lake: Lake) -> None:
    """It may have been sent several times, to another topic too; other versions and months do not count."""
    ingest(bronze, 0, 10, 11, 12, 20)
    ingest(bronze, 1, 5)
    ingest(bronze, 0, 0, topic_id="deleted")
    ingest(bronze, 0, 30, month="2019-02")
    bronze.refresh().append(bronze_rows("2019-01", "topic", 0, 13, 14, source_version="another"))
    bronze.refresh().append(bronze_rows("2019-01", "topic", 0, 15))
    assert count_version_rows(lake, bronze.refresh(), VERSION) == 6


def test_fails_until_bronze_has_read_the_last_offset(bronze: Table, lake: Lake) -> None:
    """A month that is half there would pass every other check."""
    with pytest.raises(
        LakeError, match=r"partition 0 up to 12 \(read up to -1\), partition 1 up to 5 .*Materialize bronze"
    ):
        count_version_rows(lake, bronze, VERSION)
    ingest(bronze, 0, 10, 11, 12)
    ingest(bronze, 1, 4)
    with pytest.raises(
        LakeError, match=r"not read all of .* 2019-01: partition 1 up to 5 \(read up to 4\) of topic taxi"
    ):
        count_version_rows(lake, bronze.refresh(), VERSION)
    ingest(bronze, 1, 5)
    assert count_version_rows(lake, bronze.refresh(), VERSION) == 5


def test_fails_when_bronze_lacks_an_event_between_the_offsets(bronze: Table, lake: Lake) -> None:
    """An event of an earlier sending, or of another partition, does not stand in for one that is missing."""
    ingest(bronze, 0, 1, 2, 10, 12)
    ingest(bronze, 1, 5, 6, 11)
    ingest(bronze, 0, 11, topic_id="deleted")
    with pytest.raises(
        LakeError, match=r"holds 3 of the 4 events of seed-42-events-4\.89abcdef .*bronze/raw_trips of 2019"
    ):
        count_version_rows(lake, bronze.refresh(), VERSION)


def test_events_that_could_not_be_decoded_are_named_with_the_query_that_shows_them(bronze: Table, lake: Lake) -> None:
    """Their bytes and reasons are in a view of which nothing else in the run speaks; those of others do not count."""
    ingest(bronze, 0, 10, 12)
    bronze.refresh().append(undecodable_rows("topic", 1, 5))
    bronze.refresh().append(undecodable_rows("topic", 0, 9, 11, 13))
    bronze.refresh().append(undecodable_rows("topic", 2, 11))
    bronze.refresh().append(undecodable_rows("deleted", 0, 11))
    with pytest.raises(
        LakeError, match=r"holds 2 of the 4 events .*: 2 records .*partition 0, offset 11\) says: why\."
    ) as e:
        count_version_rows(lake, bronze.refresh(), VERSION)
    assert (
        "FROM bronze.quarantine WHERE kafka_topic_id = 'topic' AND (kafka_partition = 0 AND kafka_offset BETWEEN 10 "
        "AND 12 OR kafka_partition = 1 AND kafka_offset BETWEEN 5 AND 5)."
    ) in str(e.value)
    assert "materialize generate_events and bronze/raw_trips of 2019-01, then this partition again" in str(e.value)


def test_rows_of_a_bronze_that_ignored_versions_are_none_of_the_version(bronze: Table, lake: Lake) -> None:
    """A bronze step of an earlier release reads the offsets, but leaves the version out."""
    bronze.append(bronze_rows("2019-01", "topic", 0, 10, 11, 12))
    bronze.append(bronze_rows("2019-01", "topic", 1, 5))
    with pytest.raises(LakeError, match=r"holds 0 of the 4 events .* materialize generate_events and"):
        count_version_rows(lake, bronze.refresh(), VERSION)


def test_offsets_that_hold_only_the_end_of_a_transaction_count_as_read(bronze: Table, lake: Lake) -> None:
    """Bronze notes how far it has read, beyond its last row."""
    ingest(bronze, 0, 10, 11, 12, 13)
    write_note(bronze.refresh(), "topic", {0: 15, 1: 6}, bronze.refresh().metadata.current_snapshot_id)
    assert count_version_rows(lake, bronze.refresh(), VERSION.model_copy(update={"events": 3})) == 4
