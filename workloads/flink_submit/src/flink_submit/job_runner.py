"""One Flink job at a time: found or submitted, followed to its end, cancelled with the step."""

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flink_submit.errors import DuplicateJobError, JobError, ServiceError, ServiceTimeoutError, StatementError
from flink_submit.gateway import SqlGateway
from flink_submit.jobmanager import FINAL_STATES, JobManager
from flink_submit.report import StepReport
from flink_submit.service_client import ServiceClient
from flink_submit.settings import SilverSettings
from flink_submit.sql_files import read_statements

# A TaskManager whose JobManager was started again looks for it for up to a minute.
CLUSTER_DEADLINE_S = 75.0
CANCEL_DEADLINE_S = 3.0
POLL_S = 0.1


@contextmanager
def open_job_runner(settings: SilverSettings, report: StepReport) -> "Iterator[JobRunner]":
    """Opens a SQL session on Flink with the lake's catalog in it; closed at the end of the `with` block.

    Raises:
        ServiceError: The SQL Gateway or the JobManager does not answer, or no TaskManager can work.
    """
    with (
        ServiceClient("Flink's JobManager", settings.flink_jobmanager_url) as jobmanager,
        ServiceClient("Flink's SQL Gateway", settings.flink_sql_gateway_url) as gateway,
        SqlGateway(gateway) as session,
    ):
        runner = JobRunner(session, JobManager(jobmanager), report)
        runner.wait_for_cluster()
        runner.execute(read_statements("session.sql", {}))
        runner.execute(read_statements("catalog.sql", settings.catalog_values()))
        yield runner


@dataclass(frozen=True)
class FinishedJob:
    """A job that came to its end.

    Attributes:
        job_id: Flink's id.
        seconds: From submission, or from when it was found, until it was seen finished.
        submitted: Whether this step submitted it; one that was found may have had less to do than this step wants.
    """

    job_id: str
    seconds: float
    submitted: bool


class JobRunner:
    """Runs the jobs of one step.

    Args:
        gateway: An open session.
        jobmanager: Where the jobs run.
        report: Told what goes on.
        cluster_deadline_s: How long to wait for a cluster that can work, in seconds.
    """

    def __init__(
        self,
        gateway: SqlGateway,
        jobmanager: JobManager,
        report: StepReport,
        *,
        cluster_deadline_s: float = CLUSTER_DEADLINE_S,
    ) -> None:
        self._cluster_deadline_s = cluster_deadline_s
        self._gateway = gateway
        self._jobmanager = jobmanager
        self._report = report

    def execute(self, statements: list[str]) -> None:
        """Executes statements that submit no job."""
        self._gateway.execute_all(statements)

    def wait_for_cluster(self) -> None:
        """Waits until there is a TaskManager, and none works for a job that the JobManager does not know.

        After a JobManager's death its TaskManagers work on for some seconds, and could still commit what a new job
        is about to read again.

        Raises:
            ServiceTimeoutError: Not so in time.
        """
        started = time.monotonic()
        told = ""
        while True:
            cluster = self._jobmanager.overview()
            leftover = cluster.jobs_running == 0 and cluster.slots_available < cluster.slots_total
            if cluster.taskmanagers > 0 and not leftover:
                return
            state = "its slots are held by a job it no longer knows" if leftover else "no TaskManager is registered"
            if state != told:
                self._report.say(f"Waiting for Flink, at most {self._cluster_deadline_s:.0f} s: {state}")
                told = state
            if time.monotonic() - started > self._cluster_deadline_s:
                break
            time.sleep(POLL_S)
        raise ServiceTimeoutError(
            f"Flink at {self._jobmanager.address} cannot run a job: {state}. Check that the TaskManager's container "
            "runs and is healthy (docker compose ps), then materialize this partition again."
        )

    def finish_earlier_jobs(self, name: str) -> list[FinishedJob]:
        """Waits for jobs that an earlier, interrupted step of the same name left running.

        Returns:
            Those that finished; one that fails is only logged, for the step goes on from what the table holds.
        """
        finished = []
        for job_id in self._jobmanager.unfinished_jobs(name):
            self._report.say(f"Flink job {job_id} of an earlier attempt still runs: waiting for it")
            try:
                finished.append(self._follow(job_id, name, submitted=False))
            except JobError as error:
                self._report.warn(f"The earlier attempt's job did not finish: {error}")
        return finished

    def run(
        self,
        name: str,
        identity: str,
        make_statements: Callable[[str], list[str]],
        is_committed: Callable[[str], bool] = lambda _job_id: False,
    ) -> FinishedJob:
        """Runs one job to its end.

        The job's id is made of `identity`. So two steps that want the same thing at the same time, or a step that
        was killed while its statement was still being planned and its successor, cannot start it twice: the
        JobManager refuses the second, and the second follows the first.

        Args:
            name: Name of the job in Flink.
            identity: What the job does, such that doing it twice at the same time would be wrong.
            make_statements: Given the job's id, returns the statements that set it and submit the job.
            is_committed: Given the job's id, tells whether its work is in the table and must not be done again; by
                default a job that is finished may be repeated.

        Raises:
            JobError: The job did not finish.
            StatementError: Flink refuses a statement.
        """
        for attempt in itertools.count():
            job_id = make_job_id(identity, attempt)
            state = self._jobmanager.status(job_id)
            if state in {None, "FINISHED"} and is_committed(job_id):
                self._report.say(f"Flink job {job_id} of an earlier attempt has committed meanwhile")
                return FinishedJob(job_id, 0.0, submitted=False)
            if state is None:
                if self._submit(job_id, make_statements(job_id)):
                    return self._follow(job_id, name, submitted=True)
                state = self._jobmanager.status(job_id)
            if state is not None and state not in FINAL_STATES:
                return self._follow(job_id, name, submitted=False)
        raise AssertionError

    def _submit(self, job_id: str, statements: list[str]) -> bool:
        try:
            with self._cancelled_with_step(job_id):
                result = self._gateway.execute_all(statements)
        except DuplicateJobError:
            return False
        if result.rows != [[job_id]]:
            raise JobError(
                f"Flink was asked to run job {job_id} and answered {result.rows}. The statements before the INSERT "
                "must set the job's id; compare sql/flink with the version of Flink."
            )
        return True

    def _follow(self, job_id: str, name: str, *, submitted: bool) -> FinishedJob:
        self._report.flink_job(job_id, name)
        started = time.monotonic()
        next_progress_s = self._report.progress_interval_s(0)
        with self._cancelled_with_step(job_id):
            while (state := self._jobmanager.status(job_id)) != "FINISHED":
                if state is None or state in FINAL_STATES:
                    raise self._job_error(job_id, name, state)
                elapsed_s = time.monotonic() - started
                if elapsed_s >= next_progress_s:
                    self._report.progress(job_id, state, elapsed_s, self._jobmanager.records_read(job_id))
                    next_progress_s = elapsed_s + self._report.progress_interval_s(elapsed_s)
                time.sleep(POLL_S)
        return FinishedJob(job_id, time.monotonic() - started, submitted)

    def _job_error(self, job_id: str, name: str, state: str | None) -> JobError:
        where = f"Flink job {job_id} ({name}) at {self._jobmanager.address}"
        if state is None:
            return JobError(
                f"{where} is no longer known: the JobManager was restarted. Materialize this partition again; the "
                "step looks at the table first and repeats nothing that was committed."
            )
        if state == "CANCELED":
            return JobError(f"{where} was cancelled by someone else. Materialize this partition again.")
        return JobError(
            f"{where} failed: {self._jobmanager.root_cause(job_id)}. Its whole stack trace is under Exceptions at "
            f"{self._report.job_url(job_id)}. Materialize this partition again once the cause is gone."
        )

    @contextmanager
    def _cancelled_with_step(self, job_id: str) -> Iterator[None]:
        try:
            yield
        except (JobError, StatementError):
            raise  # there is no job, or not any more
        except BaseException:
            self._cancel(job_id)
            raise

    def _cancel(self, job_id: str) -> None:
        """Cancels a job that may still be on its way to the JobManager; the error that led here goes on afterwards."""
        started = time.monotonic()
        asked = False
        try:
            while time.monotonic() - started < CANCEL_DEADLINE_S:
                asked = asked or self._jobmanager.cancel(job_id, patience_s=0)
                if asked and self._jobmanager.status(job_id) in FINAL_STATES:
                    self._report.say(f"Flink job {job_id} was cancelled with the step")
                    return
                time.sleep(POLL_S)
        except ServiceError as error:
            self._report.warn(f"Flink job {job_id} could not be cancelled: {error}")
            return
        if asked:
            self._report.warn(
                f"Flink job {job_id} was told to cancel and had not ended {CANCEL_DEADLINE_S:.0f} s later"
            )


def make_job_id(identity: str, attempt: int) -> str:
    """Returns the Flink job id, 32 hexadecimal digits, of an attempt (0, 1, …) at what `identity` says."""
    return hashlib.md5(f"{identity} attempt {attempt}".encode(), usedforsecurity=False).hexdigest()
