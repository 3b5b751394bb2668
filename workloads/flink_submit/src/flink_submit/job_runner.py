"""Run one Flink job at a time: find or submit it, follow it to its end, cancel it with the step."""

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
from flink_submit.settings import LakeSettings
from flink_submit.sql_files import read_statements

# After a restart of the JobManager, a TaskManager looks for it for up to a minute.
CLUSTER_DEADLINE_S = 75.0
CANCEL_DEADLINE_S = 3.0
POLL_S = 0.1


@contextmanager
def open_job_runner(settings: LakeSettings, report: StepReport) -> "Iterator[JobRunner]":
    """Open a SQL session on Flink with the lake's catalog; close it at the end of the ``with`` block.

    Args:
        settings: The addresses of the services.
        report: Receives log lines and progress.

    Yields:
        The runner.

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
    """A finished job.

    Args:
        job_id: Flink's id of the job.
        seconds: Time from when the job was submitted or found until it was seen finished.
        submitted: Whether this step submitted the job; a job that was found may have read less than this step wants.
    """

    job_id: str
    seconds: float
    submitted: bool


class JobRunner:
    """Runs the jobs of one step.

    Args:
        gateway: An open session.
        jobmanager: The JobManager that runs the jobs.
        report: Receives log lines and progress.
        cluster_deadline_s: Seconds to wait until the cluster can work.
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
        """Execute statements that submit no job."""
        self._gateway.execute_all(statements)

    def wait_for_cluster(self) -> None:
        """Wait until there is a TaskManager, and none works for a job that the JobManager does not know.

        After a JobManager dies, its TaskManagers work for some more seconds, and could still commit records that a new
        job is about to read again.

        Raises:
            ServiceTimeoutError: The cluster is not ready in time.
        """
        started = time.monotonic()
        reported = ""
        while True:
            cluster = self._jobmanager.overview()
            leftover = cluster.jobs_running == 0 and cluster.slots_available < cluster.slots_total
            if cluster.taskmanagers > 0 and not leftover:
                return
            state = "its slots are held by a job it no longer knows" if leftover else "no TaskManager is registered"
            if state != reported:
                self._report.say(f"Waiting for Flink, at most {self._cluster_deadline_s:.0f} s: {state}")
                reported = state
            if time.monotonic() - started > self._cluster_deadline_s:
                break
            time.sleep(POLL_S)
        raise ServiceTimeoutError(
            f"Flink at {self._jobmanager.address} cannot run a job: {state}. Check that the TaskManager's container "
            "runs and is healthy (docker compose ps), then materialize this partition again."
        )

    def finish_earlier_jobs(self, name: str) -> list[FinishedJob]:
        """Wait for jobs that an earlier, interrupted step left running.

        Args:
            name: Name of the jobs in Flink.

        Returns:
            The jobs that finished. A failed job is only logged, because the step continues from what the table holds.
        """
        finished = []
        for job_id in self._jobmanager.unfinished_jobs(name):
            self._report.say(f"Flink job {job_id} of an earlier attempt is still running: waiting for it")
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
        """Run one job to its end.

        The job's id is made from ``identity``. Two steps that want the same work at the same time therefore cannot
        start it twice, nor can a step whose predecessor was killed while its statement was still being planned: the
        JobManager refuses the second job, and its step follows the first job.

        Args:
            name: Name of the job in Flink.
            identity: Identifies the work; doing the same work twice at the same time would be wrong.
            make_statements: Returns the statements that set the given job id and submit the job.
            is_committed: Returns whether the work of the job with the given id is in the table and must not be
                repeated; by default a finished job may be repeated.

        Returns:
            The finished job.

        Raises:
            JobError: The job did not finish.
            StatementError: Flink refuses a statement.
        """
        for attempt in itertools.count():
            job_id = make_job_id(identity, attempt)
            state = self._jobmanager.status(job_id)
            if state in {None, "FINISHED"} and is_committed(job_id):
                self._report.say(f"Flink job {job_id} of an earlier attempt has committed in the meantime")
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
                f"Flink was asked to run job {job_id} and answered {result.rows}; expected that id. The statements "
                "before the INSERT must set the job's id; check that sql/flink fits the version of Flink."
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
                "step reads the table first and repeats nothing that was committed."
            )
        if state == "CANCELED":
            return JobError(f"{where} was cancelled by someone else. Materialize this partition again.")
        return JobError(
            f"{where} failed: {self._jobmanager.root_cause(job_id)}. Its full stack trace is under Exceptions at "
            f"{self._report.job_url(job_id)}. Remove the cause, then materialize this partition again."
        )

    @contextmanager
    def _cancelled_with_step(self, job_id: str) -> Iterator[None]:
        try:
            yield
        except (JobError, StatementError):
            raise  # the job does not exist, or no longer runs
        except BaseException:
            self._cancel(job_id)
            raise

    def _cancel(self, job_id: str) -> None:
        """Cancel a job that may still be on its way to the JobManager; the caller then raises its error again."""
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
                f"Flink job {job_id} was told to cancel but had not ended {CANCEL_DEADLINE_S:.0f} s later"
            )


def make_job_id(identity: str, attempt: int) -> str:
    """Return the Flink job id, 32 hexadecimal digits, of an attempt (0, 1, …) at the work that ``identity`` names."""
    return hashlib.md5(f"{identity} attempt {attempt}".encode(), usedforsecurity=False).hexdigest()
