"""Check that bronze holds a version of a month completely, before silver is made from it."""

import pyarrow.compute as pc
from pyiceberg.table import Table

from flink_submit.errors import LakeError
from flink_submit.ingested import read_ingested_ends
from flink_submit.lake import Lake
from flink_submit.month_versions import CurrentVersion


def count_version_rows(lake: Lake, table: Table, version: CurrentVersion) -> int:
    """Check that bronze has read everything of a version, and count the version's rows.

    Args:
        lake: The Iceberg tables.
        table: ``bronze.raw_trips``; all is read from its current snapshot.
        version: The version.

    Returns:
        The number of the version's rows: at least its events, more if it was sent several times.

    Raises:
        LakeError: Bronze has not read the version's offsets yet, or holds fewer rows between them than the version has
            events.
    """
    with lake.reading():
        ends = read_ingested_ends(table, version.topic_id)
    unread = {number: last for number, (_, last) in sorted(version.offsets.items()) if ends.get(number, 0) <= last}
    if unread:
        found = ", ".join(
            f"partition {number} up to {last} (read up to {ends.get(number, 0) - 1})" for number, last in unread.items()
        )
        raise LakeError(
            f"bronze.raw_trips has not read all of {version.source_version} ({version.source_name}), the current "
            f"version of {version.month}: {found} of topic {version.topic}. Materialize bronze/raw_trips of "
            f"{version.month}, then this partition again."
        )
    rows, sent_rows = _count(lake, table, version)
    if sent_rows < version.events:
        held = (
            f"bronze.raw_trips holds {sent_rows} of the {version.events} events of {version.source_version} "
            f"({version.source_name}), the current version of {version.month}, although it has read their offsets"
        )
        if undecodable := _describe_undecodable(lake, table, version):
            raise LakeError(f"{held}: {undecodable}")
        raise LakeError(
            f"{held}. Materialize bronze/raw_trips of {version.month}: it counts again and names what is missing. If "
            "it misses nothing, its image was older than the generator's: materialize generate_events and "
            f"bronze/raw_trips of {version.month}, then this partition again."
        )
    return rows


def _count(lake: Lake, table: Table, version: CurrentVersion) -> tuple[int, int]:
    """Return the number of the version's rows, and how many of them come from the offsets of its record."""
    of_version = f"trip_month = '{version.month}' AND source_version = '{version.source_version}'"
    columns = ("kafka_topic_id", "kafka_partition", "kafka_offset")
    rows = sent_rows = 0
    with lake.reading():
        scan = table.scan(row_filter=of_version, selected_fields=columns)
        for batch in scan.to_arrow_batch_reader() if table.current_snapshot() else ():
            rows += batch.num_rows
            batch_of_topic = batch.filter(pc.equal(batch["kafka_topic_id"], version.topic_id))
            offsets = batch_of_topic["kafka_offset"].to_numpy()
            partitions = batch_of_topic["kafka_partition"].to_numpy()
            for number, (first, last) in version.offsets.items():
                sent_rows += int(((partitions == number) & (offsets >= first) & (offsets <= last)).sum())
    return rows, sent_rows


def _describe_undecodable(lake: Lake, table: Table, version: CurrentVersion) -> str:
    """Return what could not be decoded between the version's offsets and what to do, or nothing if all could."""
    scan = table.scan(
        # The month is the partition: only the files of records without one are read.
        row_filter=f"trip_month IS NULL AND undecodable_reason IS NOT NULL AND kafka_topic_id = '{version.topic_id}'",
        selected_fields=("kafka_partition", "kafka_offset", "undecodable_reason"),
    )
    with lake.reading():
        rows = scan.to_arrow().to_pylist() if table.current_snapshot() else []
    found = sorted(
        (partition, offset, row["undecodable_reason"])
        for row in rows
        if (partition := row["kafka_partition"]) in version.offsets
        and version.offsets[partition][0] <= (offset := row["kafka_offset"]) <= version.offsets[partition][1]
    )
    if not found:
        return ""
    partition, offset, reason = found[0]
    spans = [
        f"kafka_partition = {number} AND kafka_offset BETWEEN {first} AND {last}"
        for number, (first, last) in sorted(version.offsets.items())
    ]
    query = (
        "SELECT kafka_partition, kafka_offset, undecodable_reason, undecodable_value FROM bronze.quarantine "  # noqa: S608  for people
        f"WHERE kafka_topic_id = '{version.topic_id}' AND ({' OR '.join(spans)})"
    )
    return (
        f"{len(found)} records between them could not be decoded, the first of which (partition {partition}, offset "
        f"{offset}) says: {reason.rstrip('.')}. The view bronze.quarantine shows all of them: {query}. When the cause "
        f"is mended, materialize generate_events and bronze/raw_trips of {version.month}, then this partition again."
    )
