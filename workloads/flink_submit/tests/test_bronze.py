from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from conftest import BRONZE_SCHEMA, CatalogInAFile, PipesSession, bronze_rows, undecodable_rows
from fake_flink import FakeFlink, FakeJob
from pyiceberg.table import Table

from flink_submit.bronze import TABLE, ingest
from flink_submit.errors import LakeError, TopicError
from flink_submit.job_runner import JobRunner, make_job_id
from flink_submit.lake import Lake
from flink_submit.offsets import PartitionBounds, TopicBounds
from flink_submit.report import StepReport, TableReport
from flink_submit.settings import BronzeSettings
from flink_submit.topic import Topic

SETTINGS = BronzeSettings.model_construct(
    kafka_bootstrap_servers="kafka.test:9092", schema_registry_url="http://registry.test"
)


@dataclass
class FakeTopic:
    """The broker's answers at the step's start and after each job; every offset except ``gaps`` is a record."""

    first: int = 0
    end: int = 0
    topic_id: str = "topic"
    first_afterwards: int = 0
    gaps: Collection[int] = ()

    def committed_offsets(self, spans: Mapping[int, tuple[int, int]]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Yield the records between offsets."""
        for number, (start, end) in spans.items():
            offsets = [offset for offset in range(start, end) if offset not in self.gaps]
            if offsets:
                yield number, np.array(offsets, np.int64)

    def read_settled_bounds(self, _report_wait: Callable[[int], None]) -> TopicBounds:
        """Return the bounds that the step works with."""
        return self._bounds(self.first)

    def read_bounds(self) -> TopicBounds:
        """Return the bounds after a job."""
        return self._bounds(max(self.first, self.first_afterwards))

    def _bounds(self, first: int) -> TopicBounds:
        return TopicBounds("taxi.raw_trips", self.topic_id, {0: PartitionBounds(first, self.end)})


@dataclass
class Bronze:
    """A step and its surroundings."""

    table: Table
    flink: FakeFlink
    lake: Lake
    runner: JobRunner
    report: StepReport
    topic: FakeTopic = field(default_factory=FakeTopic)

    def ingest(self) -> TableReport:
        """Run the step."""
        topic: Topic = self.topic  # type: ignore[assignment]  # has all methods that the step calls
        return ingest("2019-01", settings=SETTINGS, topic=topic, lake=self.lake, runner=self.runner, report=self.report)

    def append(self, job_id: str, *offsets: int) -> None:
        """Commit rows of the month as a Flink job does."""
        self.commit(job_id, bronze_rows("2019-01", self.topic.topic_id, 0, *offsets))

    def commit(self, job_id: str, rows: pa.Table) -> None:
        """Commit any rows as a Flink job does."""
        self.table.refresh().append(rows, snapshot_properties={"flink.job-id": job_id})


@pytest.fixture
def bronze(catalog: CatalogInAFile, flink: FakeFlink, lake: Lake, runner: JobRunner, report: StepReport) -> Bronze:
    """A step with an empty table and an empty topic."""
    table = catalog.create_table(TABLE, schema=BRONZE_SCHEMA)
    with table.update_spec() as spec:
        spec.add_identity("trip_month")
    return Bronze(table, flink, lake, runner, report)


def test_takes_in_what_is_new_and_no_more(bronze: Bronze) -> None:
    """Only new records are ingested; the end of a transaction takes an offset but is not a row."""
    bronze.topic.end, bronze.topic.gaps = 4, (3, 6)
    bronze.flink.do = lambda job_id: bronze.append(job_id, 0, 1, 2)
    assert bronze.ingest().rows_written == 3
    bronze.topic.end = 7
    bronze.flink.do = lambda job_id: bronze.append(job_id, 4, 5)
    report = bronze.ingest()
    assert (report.rows_read, report.rows_written, report.row_count) == (2, 2, 5)
    source = next(text for text in reversed(bronze.flink.statements) if "scan.startup.specific-offsets" in text)
    assert "'scan.startup.specific-offsets' = 'partition:0,offset:4'" in source
    assert "'scan.bounded.specific-offsets' = 'partition:0,offset:7'" in source


def test_reports_every_name_when_nothing_is_new(bronze: Bronze) -> None:
    """A rerun without new records succeeds, and its materialization must be as complete as any other."""
    bronze.topic.end, bronze.topic.gaps = 2, (1,)
    bronze.flink.do = lambda job_id: bronze.append(job_id, 0)
    first = bronze.ingest()
    again = bronze.ingest()
    assert (again.rows_read, again.row_count, again.job_id) == (0, 1, first.job_id)
    assert again.data_version == first.data_version
    assert len(bronze.flink.submitted) == 1


def test_goes_on_after_a_job_that_committed_for_a_step_that_was_killed(bronze: Bronze, pipes: PipesSession) -> None:
    """The killed step left no note: the rows themselves show where to continue."""
    bronze.append("of a killed step", 0, 1, 2)
    bronze.topic.end = 6
    bronze.flink.do = lambda job_id: bronze.append(job_id, 3, 4)
    report = bronze.ingest()
    assert report.rows_written == 5, "includes the killed step's rows, which no other step reports"
    assert len(bronze.flink.submitted) == 1
    assert "from partition:0,offset:3 to partition:0,offset:6" in pipes.log()


def test_waits_for_the_job_of_a_killed_step_and_counts_its_rows(bronze: Bronze) -> None:
    """No second job may start at the same offsets, and no other step would report those rows."""
    bronze.topic.end = 3
    bronze.flink.jobs["earlier"] = FakeJob(TABLE, ["RUNNING", "FINISHED"])
    bronze.append("earlier", 0, 1, 2)
    report = bronze.ingest()
    assert (report.rows_written, report.job_id, bronze.flink.submitted) == (3, "earlier", [])


def test_brings_in_the_rest_when_another_attempts_job_took_a_part(bronze: Bronze) -> None:
    """The other attempt may have seen an earlier end of the topic, which must not be mistaken for this step's."""
    bronze.topic.end = 6
    first = make_job_id(f"{TABLE} topic partition:0,offset:0", 0)
    bronze.flink.do = lambda job_id: bronze.append(job_id, 4, 5)

    def commit_first() -> str:
        bronze.append(first, 0, 1, 2, 3)
        return "FINISHED"

    bronze.flink.jobs[first] = _JobThatCommits("another name", ["RUNNING"], commit=commit_first)
    report = bronze.ingest()
    assert report.rows_written == 6
    assert len(bronze.flink.submitted) == 1


@dataclass
class _JobThatCommits(FakeJob):
    commit: Callable[[], str] = lambda: "FINISHED"
    looks: int = 0

    def look(self) -> str:
        """Return the state that this look finds."""
        self.looks += 1
        if self.looks == 2:
            self.states = [self.commit()]
        return self.states[0]


def test_reads_a_topic_that_was_created_again_from_its_beginning(bronze: Bronze) -> None:
    """Offsets of the deleted topic say nothing about the new one of that name."""
    bronze.topic.end = 9
    bronze.flink.do = lambda job_id: bronze.append(job_id, *range(9))
    bronze.ingest()
    bronze.topic = FakeTopic(end=3, topic_id="new")
    bronze.flink.do = lambda job_id: bronze.append(job_id, 0, 1, 2)
    assert bronze.ingest().rows_written == 3


def test_fails_when_retention_took_what_bronze_lacks(bronze: Bronze) -> None:
    """Lost records must never go unreported."""
    bronze.append("one", 0, 1)
    bronze.topic.first, bronze.topic.end = 5, 9
    with pytest.raises(TopicError, match="partition 0 begins at offset 5, bronze stopped before 2"):
        bronze.ingest()
    assert bronze.flink.submitted == []


def test_fails_when_retention_took_records_from_under_the_job(bronze: Bronze) -> None:
    """If the offset to start at is gone, Flink silently starts at the first one that exists."""
    bronze.topic.end, bronze.topic.first_afterwards = 4, 2
    bronze.flink.do = lambda job_id: bronze.append(job_id, 2, 3)
    with pytest.raises(TopicError, match="partition 0 begins at offset 2, but the job was to start at 0"):
        bronze.ingest()


def test_fails_when_a_job_added_more_rows_than_there_are_records(bronze: Bronze) -> None:
    """Every rule of this step exists to prevent repeated records in bronze."""
    bronze.topic.end = 2
    bronze.flink.do = lambda job_id: bronze.append(job_id, 0, 1, 0, 1)
    with pytest.raises(LakeError, match=r"added 4 rows to bronze\.raw_trips for at most 2 records"):
        bronze.ingest()


def test_a_topic_of_aborted_transactions_is_read_once(bronze: Bronze) -> None:
    """Flink does not commit without rows; the next steps must still not read the same offsets again."""
    bronze.topic.end, bronze.topic.gaps = 500, range(500)
    assert bronze.ingest().rows_written == 0
    assert bronze.ingest().job_id is None
    assert len(bronze.flink.submitted) == 1


def test_starts_no_job_for_offsets_that_hold_only_the_ends_of_transactions(bronze: Bronze) -> None:
    """Each commit of the generator leaves such offsets; a Flink job for them would cost every rerun seconds."""
    bronze.topic.end, bronze.topic.gaps = 5, range(5)
    assert bronze.ingest().rows_written == 0
    assert bronze.flink.submitted == []


def test_says_that_a_topic_created_again_lost_what_was_not_read(bronze: Bronze, pipes: PipesSession) -> None:
    """The records lost with the old topic cannot be counted, but the loss must be reported."""
    bronze.topic.end = 1
    bronze.flink.do = lambda job_id: bronze.append(job_id, 0)
    bronze.ingest()
    assert "created again" not in pipes.log()
    bronze.topic = FakeTopic(end=1, topic_id="new")
    bronze.ingest()
    assert "deleted and created again: bronze continues with the new topic (id new)" in pipes.log()


def test_says_that_a_topic_lost_records_before_it_was_first_read(bronze: Bronze, pipes: PipesSession) -> None:
    """The first read begins with what is left, which is not an error but is reported."""
    bronze.topic.first, bronze.topic.end = 3, 5
    bronze.flink.do = lambda job_id: bronze.append(job_id, 3, 4)
    assert bronze.ingest().rows_read == 2
    assert "begins at partition:0,offset:3: earlier records were deleted" in pipes.log()


def test_counts_undecodable_records_separately(bronze: Bronze) -> None:
    """Each record is accounted for, and an undecodable one is not a trip."""
    bronze.topic.end = 5

    def write(job_id: str) -> None:
        """Commit trips and an undecodable record at once."""
        trips = bronze_rows("2019-01", "topic", 0, 0, 1, 2)
        bronze.commit(job_id, pa.concat_tables([trips, undecodable_rows("topic", 0, 3, 4)]))

    bronze.flink.do = write
    report = bronze.ingest()
    assert (report.rows_read, report.rows_written, report.row_count) == (5, 3, 3)
    assert report.details["rows_undecodable"] == report.details["rows_in_quarantine"] == 2
    again = bronze.ingest()
    assert (again.rows_read, again.details["rows_undecodable"], again.details["rows_in_quarantine"]) == (0, 0, 2)


def test_finds_a_missing_record_in_every_step_until_it_is_there(bronze: Bronze) -> None:
    """If only the first step reported the gap, the second would succeed."""
    bronze.topic.end = 4
    bronze.flink.do = lambda job_id: bronze.append(job_id, 0, 1, 3)
    found = [bronze.ingest() for _ in range(2)]
    assert [(one.rows_read, one.rows_written, one.details["records_missing"]) for one in found] == [(4, 3, 1)] * 2
    bronze.append("repair", 2)
    repaired = bronze.ingest()
    assert (repaired.rows_read, repaired.rows_written, repaired.details["records_missing"]) == (4, 4, 0)
    assert bronze.ingest().rows_read == 0


def test_finds_a_repeated_row_and_one_without_a_record(bronze: Bronze) -> None:
    """A repeated record is as wrong as a missing one; the end of a transaction is not a record."""
    bronze.topic.end, bronze.topic.gaps = 4, (2,)
    bronze.flink.do = lambda job_id: bronze.append(job_id, 0, 1, 1, 2)
    counts = bronze.ingest().details
    assert (counts["records_missing"], counts["rows_repeated"], counts["offset_gaps"]) == (1, 2, 1)


def test_shows_undecodable_records_in_a_view(bronze: Bronze, catalog: CatalogInAFile) -> None:
    """The view is created once, and replaced if its text differs; each engine finds its dialect."""
    bronze.ingest()
    view = catalog.load_view("bronze.quarantine")
    texts = {one.root.dialect: one.root.sql for one in view.current_version().representations}
    assert texts.keys() >= {"spark", "trino", "duckdb"}
    assert all("WHERE undecodable_reason IS NOT NULL" in text for text in texts.values())
    assert view.schema().column_names[-2:] == ["undecodable_reason", "undecodable_value"]
    bronze.ingest()
    assert catalog.load_view("bronze.quarantine") is view
    view.current_version().representations.pop()
    bronze.ingest()
    assert catalog.load_view("bronze.quarantine") is not view


def test_tells_how_much_there_is_to_read(bronze: Bronze, pipes: PipesSession) -> None:
    """An engineer looks for this line first in a slow step."""
    bronze.topic.end = 5
    bronze.ingest()
    assert "Reading at most 5 records: from partition:0,offset:0 to partition:0,offset:5" in pipes.log()
