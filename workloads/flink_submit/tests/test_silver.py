import re
from collections.abc import Callable

import pyarrow as pa
import pytest
from conftest import BRONZE_SCHEMA, SQL_DIRECTORY, bronze_rows
from fake_flink import FakeFlink
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField, StringType

from flink_submit.errors import LakeError
from flink_submit.job_runner import JobRunner, make_job_id
from flink_submit.lake import Lake
from flink_submit.month_versions import CurrentVersion
from flink_submit.report import StepReport, TableReport
from flink_submit.silver import clean

MONTH = "2019-01"
COUNTS = (
    "bronze_snapshot_id",
    "bronze_rows",
    "repeated_events",
    "rejected_rows",
    "repeated_trips",
    "cleaned_rows",
    "cleaned_offset_sum",
    "cleaned_checksum",
    "superseded_rows",
    "rounded_rows",
    "rows_without_vendor",
)
TEXTS = ("source", "source_version", "source_name")
FILE = ("tlc_file", "sha256-0123456789abcdef.89abcdef", "yellow_tripdata_2019-01.parquet")
SYNTHETIC = ("synthetic", "seed-42-events-10.89abcdef", "synthetic, seed 42, 10 events")


class Silver:
    """The step, its four tables, and a Flink job that writes what a test chooses."""

    def __init__(self, catalog: SqlCatalog, lake: Lake, runner: JobRunner, report: StepReport) -> None:
        self._lake, self._runner, self._report = lake, runner, report
        self._offset = 0
        self.version = self._version(FILE, 0, 0)
        self.bronze = self._create(catalog, "bronze.raw_trips", BRONZE_SCHEMA)
        ids = Schema(NestedField(1, "trip_id", StringType()), NestedField(2, "trip_month", StringType()))
        self.cleaned = self._create(catalog, "silver.cleaned_trips", ids)
        self.rejected = self._create(catalog, "silver.rejected_trips", ids)
        numbers = [NestedField(number, name, LongType()) for number, name in enumerate(COUNTS, start=2)]
        texts = [NestedField(number, name, StringType()) for number, name in enumerate(TEXTS, start=20)]
        counts = Schema(NestedField(1, "trip_month", StringType()), *numbers, *texts)
        self.counts = self._create(catalog, "silver.month_counts", counts)

    @staticmethod
    def _create(catalog: SqlCatalog, name: str, schema: Schema) -> Table:
        table = catalog.create_table(name, schema=schema)
        with table.update_spec() as spec:
            spec.add_identity("trip_month")
        return table

    @staticmethod
    def _version(source: tuple[str, str, str], first: int, events: int) -> CurrentVersion:
        record = {"month": MONTH, "events": events, "topic": "taxi.raw_trips", "topic_id": "topic"}
        offsets = {0: (first, first + events - 1)} if events else {}
        return CurrentVersion.model_validate(record | {"offsets": offsets} | dict(zip(TEXTS, source, strict=True)))

    def receive(self, rows: int, source: tuple[str, str, str] = FILE) -> None:
        """Add rows of a version to the month in bronze; the version becomes the current one."""
        offsets = range(self._offset, self._offset + rows)
        self.bronze.refresh().append(bronze_rows(MONTH, "topic", 0, *offsets, source_version=source[1]))
        self.version = self._version(source, self._offset, rows)
        self._offset += rows

    def clean(self) -> TableReport:
        """Run the step."""
        return clean(
            self.version,
            lambda: self.version,
            topic_name="taxi.raw_trips",
            lake=self._lake,
            runner=self._runner,
            report=self._report,
        )

    def job(
        self, cleaned: int, rejected: int, repeats: int, superseded: int = 0, counted: int | None = None
    ) -> Callable[[str], None]:
        """Return a job that replaces the month as Flink does: a table that gets no row is left alone."""

        def write(job_id: str) -> None:
            """Write the month's rows and counts."""
            bronze = self.bronze.refresh().current_snapshot()
            assert bronze
            read = cleaned + rejected + repeats + superseded if counted is None else counted
            numbers = (bronze.snapshot_id, read, repeats, rejected, 0, cleaned, 100, 7, superseded, 2, 3)
            texts = {name: getattr(self.version, name) for name in TEXTS}
            counts = [{"trip_month": MONTH, **dict(zip(COUNTS, numbers, strict=True)), **texts}]
            written = [(self.cleaned, trips("kept", cleaned)), (self.rejected, trips("refused", rejected))]
            for table, rows in [*written, (self.counts, counts)]:
                if rows:
                    data = pa.Table.from_pylist(rows, schema=table.schema().as_arrow())
                    properties = {"flink.job-id": job_id}
                    table.refresh().overwrite(data, f"trip_month = '{MONTH}'", snapshot_properties=properties)

        return write


def trips(kind: str, rows: int) -> list[dict[str, str]]:
    """Return rows of either table of trips."""
    return [{"trip_id": f"{kind} {number}", "trip_month": MONTH} for number in range(rows)]


@pytest.fixture
def silver(catalog: SqlCatalog, lake: Lake, runner: JobRunner, report: StepReport) -> Silver:
    """The step; all tables are empty."""
    return Silver(catalog, lake, runner, report)


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_reports_what_became_of_each_row_of_the_month(silver: Silver, flink: FakeFlink) -> None:
    """The pipeline's checks rely on rows_read = rows_written + rows_rejected + duplicates + rows_superseded."""
    silver.receive(10)
    flink.do = silver.job(cleaned=6, rejected=3, repeats=1)
    report = silver.clean()
    assert (report.rows_read, report.rows_written, report.rows_rejected, report.duplicates) == (10, 6, 3, 1)
    assert (report.row_count, report.table_name) == (6, "silver.cleaned_trips")
    assert [report.job_id] == flink.submitted


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_reads_the_very_snapshot_of_bronze_that_it_counts(silver: Silver, flink: FakeFlink) -> None:
    """Otherwise rows that arrive in the meantime would break the sum."""
    silver.receive(2)
    flink.do = silver.job(cleaned=2, rejected=0, repeats=0)
    silver.clean()
    snapshot = silver.bronze.refresh().current_snapshot()
    assert snapshot
    assert any(f"'snapshot-id' = '{snapshot.snapshot_id}'" in statement for statement in flink.statements)


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_a_rerun_gives_the_same_data_version(silver: Silver, flink: FakeFlink) -> None:
    """Materializing again must not make the marts stale."""
    silver.receive(3)
    flink.do = silver.job(cleaned=3, rejected=0, repeats=0)
    first = silver.clean()
    silver.receive(3)
    flink.do = silver.job(cleaned=3, rejected=0, repeats=3)
    second = silver.clean()
    assert first.data_version == second.data_version
    assert (second.rows_read, second.duplicates) == (6, 3)


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_empties_a_month_that_has_no_valid_trip_any_more(silver: Silver, flink: FakeFlink, lake: Lake) -> None:
    """Flink's overwrite leaves a partition alone that gets no row, so the old trips would stay for ever."""
    silver.receive(4)
    flink.do = silver.job(cleaned=4, rejected=0, repeats=0)
    silver.clean()
    flink.do = silver.job(cleaned=0, rejected=4, repeats=0)
    report = silver.clean()
    assert (report.row_count, report.rows_rejected) == (0, 4)
    assert lake.month_rows(silver.cleaned.refresh(), MONTH) == 0


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_empties_the_rejected_rows_of_a_month_that_has_none_any_more(
    silver: Silver, flink: FakeFlink, lake: Lake
) -> None:
    """The tables' rows must add up to those of bronze."""
    silver.receive(4)
    flink.do = silver.job(cleaned=1, rejected=3, repeats=0)
    silver.clean()
    flink.do = silver.job(cleaned=4, rejected=0, repeats=0)
    assert silver.clean().rows_rejected == 0
    assert lake.month_rows(silver.rejected.refresh(), MONTH) == 0


def test_says_what_to_materialize_first_when_bronze_has_nothing_of_the_version(
    silver: Silver, flink: FakeFlink
) -> None:
    """An empty month is not a success: the step ran too early."""
    silver.receive(2)
    silver.version = silver.version.model_copy(update={"offsets": {0: (0, 2)}})
    with pytest.raises(LakeError, match=r"has not read all of sha256-.* Materialize bronze/raw_trips of 2019-01, then"):
        silver.clean()
    assert flink.submitted == []


def test_says_what_to_materialize_first_when_bronze_is_empty_or_missing(
    catalog: SqlCatalog, silver: Silver, flink: FakeFlink
) -> None:
    """The first step of a new lake may be silver."""
    with pytest.raises(LakeError, match=r"has no row\. .* materialize bronze/raw_trips of 2019-01 first"):
        silver.clean()
    catalog.drop_table("bronze.raw_trips")
    with pytest.raises(LakeError, match=r"has no row\. .* materialize bronze/raw_trips of 2019-01 first"):
        silver.clean()
    assert flink.submitted == []


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_rows_of_other_versions_are_superseded(silver: Silver, flink: FakeFlink) -> None:
    """Silver is the current version and nothing else, and the receipt names it."""
    silver.receive(4)
    silver.receive(3, SYNTHETIC)
    flink.do = silver.job(cleaned=2, rejected=1, repeats=0, superseded=4)
    report = silver.clean()
    assert (report.rows_read, report.rows_written, report.rows_rejected, report.duplicates) == (7, 2, 1, 0)
    assert report.details == {
        "rows_superseded": 4,
        "rows_rounded": 2,
        "rows_without_vendor": 3,
        **dict(zip(TEXTS, SYNTHETIC, strict=True)),
    }
    written = next(text for text in flink.statements if text.startswith("EXECUTE"))
    assert all(f"'{text}' AS" in written for text in SYNTHETIC)
    assert "CAST('4' AS BIGINT) AS superseded_rows" in written


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_bronze_is_read_in_one_place_only(silver: Silver, flink: FakeFlink) -> None:
    """Of two readers Flink makes one that reads the whole table: cost and slots would grow with all other months."""
    silver.receive(2)
    flink.do = silver.job(cleaned=2, rejected=0, repeats=0)
    silver.clean()
    assert (
        sum(text.count("lake.bronze.raw_trips") for text in flink.statements if "INSERT" in text or "VIEW" in text) == 1
    )


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_each_version_has_its_own_job_and_its_own_data_version(silver: Silver, flink: FakeFlink) -> None:
    """Bronze does not change when a version becomes the current one again."""
    silver.receive(2)
    first = silver.version
    silver.receive(2, SYNTHETIC)
    flink.do = silver.job(cleaned=2, rejected=0, repeats=0, superseded=2)
    synthetic = silver.clean()
    silver.version = first
    assert silver.clean().data_version != synthetic.data_version
    snapshot = silver.bronze.refresh().current_snapshot()
    assert snapshot
    work = f"silver.cleaned_trips {MONTH} {snapshot.snapshot_id}"
    assert flink.submitted == [make_job_id(f"{work} {source[1]}", 0) for source in (SYNTHETIC, FILE)]


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_fails_when_flink_takes_other_rows_for_the_versions(silver: Silver, flink: FakeFlink) -> None:
    """The step counts the version's rows itself."""
    silver.receive(4)
    silver.receive(3, SYNTHETIC)
    flink.do = silver.job(cleaned=4, rejected=0, repeats=0, superseded=3)
    with pytest.raises(
        LakeError, match=r"do not add up: 7 in bronze\.raw_trips, 3 of them of version seed-42-events-10"
    ):
        silver.clean()


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_fails_when_the_counts_are_of_another_version(silver: Silver, flink: FakeFlink) -> None:
    """Two runs of a month could otherwise each report what the other wrote."""
    silver.receive(2)
    job = silver.job(cleaned=2, rejected=0, repeats=0)

    def write(job_id: str) -> None:
        """Count for another version."""
        silver.version = silver.version.model_copy(update={"source_version": "other"})
        job(job_id)

    flink.do = write
    with pytest.raises(LakeError, match=r"one row of 2019-01 counted for version sha256-0123456789abcdef\.89abcdef"):
        silver.clean()


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_fails_when_another_version_became_the_current_one_meanwhile(silver: Silver, flink: FakeFlink) -> None:
    """Its own step may have written the month before this one, which would then be green over the older version."""
    silver.receive(2)
    job = silver.job(cleaned=2, rejected=0, repeats=0)

    def write(job_id: str) -> None:
        """Write the older version's rows while the newer one becomes the current one."""
        job(job_id)
        silver.version = Silver._version(SYNTHETIC, 2, 10)  # noqa: SLF001  the same maker

    flink.do = write
    with pytest.raises(LakeError, match=r"seed-42-.* became the current version of 2019-01\. Materialize bronze"):
        silver.clean()


def test_refuses_a_version_that_was_sent_to_another_topic(
    silver: Silver, lake: Lake, runner: JobRunner, report: StepReport
) -> None:
    """Bronze never gets it, and would only be said to be late."""
    with pytest.raises(LakeError, match=r"was sent to topic taxi\.raw_trips, but bronze reads taxi\.other"):
        clean(silver.version, lambda: silver.version, topic_name="taxi.other", lake=lake, runner=runner, report=report)


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_fails_when_the_rows_do_not_add_up(silver: Silver, flink: FakeFlink) -> None:
    """A row lost between the tables must always fail the step."""
    silver.receive(10)
    flink.do = silver.job(cleaned=6, rejected=3, repeats=0)
    with pytest.raises(LakeError, match=r"do not add up: 10 in bronze\.raw_trips, 10 of them of version sha.* 9 read"):
        silver.clean()


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_fails_when_the_job_left_the_counts_of_an_older_one(silver: Silver, flink: FakeFlink) -> None:
    """Old counts would hide this job's result."""
    silver.receive(2)
    flink.do = silver.job(cleaned=2, rejected=0, repeats=0)
    silver.clean()
    silver.receive(1)
    flink.do = lambda _job_id: None
    with pytest.raises(LakeError, match=r"silver\.month_counts should have one row of 2019-01"):
        silver.clean()


def test_texts_of_vendors_and_payments_are_compared_without_blanks_around_them() -> None:
    """The TLC cut ``No Charge`` to three characters, ``No`` and a blank; the auditor leaves the blank out."""
    compared = re.findall(r"UPPER\(\S+", (SQL_DIRECTORY / "silver_clean.sql").read_text(encoding="utf-8"))
    assert {text.rstrip(")") for text in compared} == {"UPPER(TRIM(vendor_name", "UPPER(TRIM(payment_name"}
