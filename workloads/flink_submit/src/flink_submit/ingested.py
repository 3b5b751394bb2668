"""The offsets where bronze stopped, read from the table, because only the table knows what was committed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow.compute as pc
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, ancestors_of

NOTE_PROPERTY = "drayage.ingested"


@dataclass(frozen=True)
class IngestNote:
    """The note that a step writes into the table's properties before it reports.

    The note knows more than the rows: it includes the offsets that hold the end of a transaction instead of a record.
    It is valid while its snapshot belongs to the table's history; after a rollback it is ignored.

    Args:
        snapshot_id: The snapshot that the note describes; None if the table had none.
        ends: By topic id and partition, the offset after the last one that was read.
    """

    snapshot_id: int | None = None
    ends: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


def read_ingested_ends(table: Table, topic_id: str) -> dict[int, int]:
    """Return the offsets at which to continue.

    Args:
        table: ``bronze.raw_trips``, freshly loaded.
        topic_id: Id of the current topic; rows of an earlier, deleted topic of the same name do not count.

    Returns:
        For each partition that was read before, the offset after the last one.
    """
    note = _read_note(table)
    noted = dict(note.ends.get(topic_id, {}))
    if note.snapshot_id == current_snapshot_id(table):
        return noted
    if note.snapshot_id not in {snapshot.snapshot_id for snapshot in _history(table)}:
        return _scan_ends(table, topic_id, at_least=0)
    scanned = _scan_ends(table, topic_id, at_least=min(noted.values(), default=0))
    return {number: max(noted.get(number, 0), scanned.get(number, 0)) for number in noted.keys() | scanned.keys()}


def read_reported_ends(table: Table, topic_id: str) -> dict[int, int]:
    """Return, for each partition, the offset after the last one that a step has reported; empty if unknown."""
    note = _read_note(table)
    is_history = note.snapshot_id is None or note.snapshot_id in {one.snapshot_id for one in _history(table)}
    return dict(note.ends.get(topic_id, {})) if is_history else {}


def read_noted_topics(table: Table) -> frozenset[str]:
    """Return the ids of the topics read so far; several if the topic was deleted and created again."""
    return frozenset(_read_note(table).ends)


def find_unreported_jobs(table: Table) -> list[str]:
    """Return the Flink jobs that committed since the last note, oldest first.

    They include the jobs of a step that was killed before it could report; the step that finds them reports their rows.
    """
    note = _read_note(table)
    history = _history(table)
    known = [snapshot.snapshot_id for snapshot in history]
    if note.snapshot_id is not None and note.snapshot_id not in known:
        return []  # the note's snapshot was rolled back or expired: unknown
    newer = history if note.snapshot_id is None else history[: known.index(note.snapshot_id)]
    jobs = [snapshot.summary.get("flink.job-id") for snapshot in reversed(newer) if snapshot.summary]
    return [job_id for job_id in jobs if job_id]


def find_needed_snapshots(table: Table) -> set[int]:
    """Return the snapshots that the next step needs: the noted one and all later ones; without a note, all."""
    note = _read_note(table)
    known = [snapshot.snapshot_id for snapshot in _history(table)]
    return set(known[: known.index(note.snapshot_id) + 1] if note.snapshot_id in known else known)


def write_note(table: Table, topic_id: str, ends: Mapping[int, int], snapshot_id: int | None) -> None:
    """Note what has been read; if a step is killed before this, its successor only has to scan more.

    Args:
        table: ``bronze.raw_trips``.
        topic_id: Id of the topic that was read.
        ends: For each partition, the offset after the last one that was read.
        snapshot_id: The snapshot that holds exactly these records.
    """
    before = _read_note(table)
    if before.snapshot_id == snapshot_id and before.ends.get(topic_id) == ends:
        return
    content = {"snapshot_id": snapshot_id, "ends": {**before.ends, topic_id: ends}}
    with table.transaction() as transaction:
        transaction.set_properties({NOTE_PROPERTY: json.dumps(content)})


def current_snapshot_id(table: Table) -> int | None:
    """Return the id of the table's current snapshot; None if it has none."""
    snapshot = table.current_snapshot()
    return snapshot.snapshot_id if snapshot else None


def _history(table: Table) -> list[Snapshot]:
    return list(ancestors_of(table.current_snapshot(), table.metadata))


def _read_note(table: Table) -> IngestNote:
    text = table.properties.get(NOTE_PROPERTY)
    if text is None:
        return IngestNote()
    content = json.loads(text)
    ends = {topic: {int(number): end for number, end in read.items()} for topic, read in content["ends"].items()}
    return IngestNote(content["snapshot_id"], ends)


def _scan_ends(table: Table, topic_id: str, *, at_least: int) -> dict[int, int]:
    """Scan the rows for the ends; reads two narrow columns of the files whose bounds allow such rows."""
    batches = table.scan(
        row_filter=f"kafka_topic_id = '{topic_id}' AND kafka_offset >= {at_least}",
        selected_fields=("kafka_partition", "kafka_offset"),
    ).to_arrow_batch_reader()
    ends: dict[int, int] = {}
    for batch in batches:
        for number in pc.unique(batch["kafka_partition"]).to_pylist():
            offsets = batch["kafka_offset"].filter(pc.equal(batch["kafka_partition"], number))
            ends[number] = max(ends.get(number, 0), pc.max(offsets).as_py() + 1)
    return ends
