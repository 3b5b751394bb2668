"""The step ``expire``: remove old snapshots of the lake's tables, and the files that only they refer to."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from pyiceberg.io import FileIO
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from flink_submit.bronze import TABLE as BRONZE_TABLE
from flink_submit.ingested import find_needed_snapshots
from flink_submit.lake import Lake
from flink_submit.report import StepReport
from flink_submit.silver import CLEANED_TABLE, COUNTS_TABLE, REJECTED_TABLE

TABLES = (BRONZE_TABLE, CLEANED_TABLE, REJECTED_TABLE, COUNTS_TABLE)
# This many deletes stay well below the time limit of one call.
_DELETED_AT_ONCE = 100


@dataclass(frozen=True)
class TableExpiry:
    """The result of expiring one table's snapshots.

    Args:
        snapshots_before: Number of snapshots before.
        snapshots_after: Number of snapshots after.
        files_deleted: Number of data files, manifests and manifest lists removed from the object store.
    """

    snapshots_before: int
    snapshots_after: int
    files_deleted: int


def expire(lake: Lake, *, older_than: datetime, keep: Collection[int], report: StepReport) -> dict[str, TableExpiry]:
    """Run the step.

    Args:
        lake: The Iceberg tables; missing ones are skipped.
        older_than: Snapshots of this time and later stay.
        keep: Ids of older snapshots that stay too.
        report: Receives log lines.

    Returns:
        The result for each table, by name.

    Raises:
        FlinkSubmitError: The step failed; snapshots that it had already expired stay expired.
    """
    done = {}
    for name in TABLES:
        table = lake.find_table(name)
        if table is None:
            continue
        done[name] = _expire_table(lake, name, table, older_than, keep)
        report.say(f"{name}: {asdict(done[name])}")
    return done


def _expire_table(lake: Lake, name: str, table: Table, older_than: datetime, keep: Collection[int]) -> TableExpiry:
    current = table.current_snapshot()
    needed = {*keep, *(find_needed_snapshots(table) if name == BRONZE_TABLE else ())}
    snapshots = table.snapshots()
    expired = [
        snapshot
        for snapshot in snapshots
        if snapshot.timestamp_ms < older_than.timestamp() * 1000
        and snapshot != current
        and snapshot.snapshot_id not in needed
    ]
    if not expired:
        return TableExpiry(len(snapshots), len(snapshots), 0)
    kept = [snapshot for snapshot in snapshots if snapshot not in expired]
    with lake.reading():
        unreferenced = sorted(_files(table.io, expired) - _files(table.io, kept))
    with lake.reading():
        table.maintenance.expire_snapshots().by_ids([snapshot.snapshot_id for snapshot in expired]).commit()
    # Commit before deleting: files left by a killed step only cost space, a snapshot without its files is lost data.
    for start in range(0, len(unreferenced), _DELETED_AT_ONCE):
        with lake.reading():
            for path in unreferenced[start : start + _DELETED_AT_ONCE]:
                table.io.delete(path)
    return TableExpiry(len(snapshots), len(lake.load_table(name).snapshots()), len(unreferenced))


def _files(io: FileIO, snapshots: Iterable[Snapshot]) -> set[str]:
    """Return the files that the snapshots refer to: manifest lists, manifests, and the manifests' live files."""
    manifests = {manifest.manifest_path: manifest for snapshot in snapshots for manifest in snapshot.manifests(io)}
    files = {snapshot.manifest_list for snapshot in snapshots} | manifests.keys()
    for manifest in manifests.values():
        files |= {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(io, discard_deleted=True)}
    return files
