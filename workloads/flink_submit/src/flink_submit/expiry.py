"""Expires old snapshots of the lake's tables, with the files that nothing else refers to."""

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
# So many deletes fit well into the time limit of one call.
_DELETED_AT_ONCE = 100


@dataclass(frozen=True)
class TableExpiry:
    """What was done to one table.

    Attributes:
        snapshots_before: Snapshots that it had.
        snapshots_after: Snapshots that it has now.
        files_deleted: Data files, manifests and manifest lists that were removed from the object store.
    """

    snapshots_before: int
    snapshots_after: int
    files_deleted: int


def expire(lake: Lake, *, older_than: datetime, keep: Collection[int], report: StepReport) -> dict[str, TableExpiry]:
    """Runs the step.

    Args:
        lake: Where the tables are; one that is not there has nothing to expire.
        older_than: Snapshots from this moment on stay.
        keep: Ids of older snapshots that stay too.
        report: Told what goes on.

    Returns:
        What was done, by table.

    Raises:
        FlinkSubmitError: Something failed; what was expired before stays so.
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
    # The commit first: files that a killed step leaves cost space, a snapshot without its files would cost data.
    for start in range(0, len(unreferenced), _DELETED_AT_ONCE):
        with lake.reading():
            for path in unreferenced[start : start + _DELETED_AT_ONCE]:
                table.io.delete(path)
    return TableExpiry(len(snapshots), len(lake.load_table(name).snapshots()), len(unreferenced))


def _files(io: FileIO, snapshots: Iterable[Snapshot]) -> set[str]:
    """Finds what the snapshots refer to: manifest lists, manifests, and the files that are live in them."""
    manifests = {manifest.manifest_path: manifest for snapshot in snapshots for manifest in snapshot.manifests(io)}
    files = {snapshot.manifest_list for snapshot in snapshots} | manifests.keys()
    for manifest in manifests.values():
        files |= {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(io, discard_deleted=True)}
    return files
