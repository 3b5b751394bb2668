from collections.abc import Callable

import httpx
import pytest
from conftest import PipesSession
from fake_flink import FakeFlink, FakeJob

from flink_submit.errors import JobError, ServiceTimeoutError, StatementError, StepCancelledError
from flink_submit.job_runner import FinishedJob, JobRunner, make_job_id

FIRST = make_job_id("work", 0)
SECOND = make_job_id("work", 1)


def statements(job_id: str) -> list[str]:
    """Return the statements of a job."""
    return ["SET 'pipeline.name' = 'name'", f"SET '$internal.pipeline.job-id' = '{job_id}'", "INSERT INTO t SELECT 1"]


def run(runner: JobRunner, is_committed: Callable[[str], bool] = lambda _job_id: False) -> FinishedJob:
    """Run the job of these tests."""
    return runner.run("name", "work", statements, is_committed)


def test_submits_a_job_follows_it_and_tells_its_id_at_once(
    runner: JobRunner, flink: FakeFlink, pipes: PipesSession
) -> None:
    """The link to Flink must be available while the job runs."""
    job = run(runner)
    assert (job.job_id, job.submitted, flink.submitted) == (FIRST, True, [FIRST])
    assert pipes.custom("flink_job") == [
        {"kind": "flink_job", "job_id": FIRST, "url": f"http://ui.test:8081/#/job/running/{FIRST}/overview"}
    ]


def test_follows_the_job_that_an_earlier_attempt_left_running(runner: JobRunner, flink: FakeFlink) -> None:
    """Two jobs that start at the same offsets would write each record twice."""
    flink.jobs[FIRST] = FakeJob("name", ["RUNNING", "RUNNING", "FINISHED"])
    job = run(runner)
    assert (job.job_id, job.submitted, flink.submitted) == (FIRST, False, [])


def test_follows_the_job_that_an_earlier_attempt_submitted_at_the_same_moment(
    runner: JobRunner, flink: FakeFlink
) -> None:
    """The gateway may still be planning a killed step's statement when its successor looks at the JobManager."""

    def let_the_other_arrive(request: httpx.Request) -> None:
        if request.url.path.endswith("/statements") and b"INSERT" in request.content:
            flink.jobs.setdefault(FIRST, FakeJob("name", ["RUNNING", "RUNNING", "FINISHED"]))

    flink.before_answer = let_the_other_arrive
    job = run(runner)
    assert (job.job_id, job.submitted, flink.submitted) == (FIRST, False, [])


def test_does_not_repeat_a_job_whose_work_is_in_the_table(runner: JobRunner, flink: FakeFlink) -> None:
    """The job finished between the look at the table and the look at the JobManager."""
    flink.jobs[FIRST] = FakeJob("name", ["FINISHED"])
    job = run(runner, is_committed=lambda job_id: job_id == FIRST)
    assert (job.job_id, job.submitted, flink.submitted) == (FIRST, False, [])


def test_does_not_repeat_work_of_a_job_that_the_jobmanager_has_forgotten(runner: JobRunner, flink: FakeFlink) -> None:
    """A restarted JobManager does not know finished jobs."""
    job = run(runner, is_committed=lambda job_id: job_id == FIRST)
    assert (job.job_id, flink.submitted) == (FIRST, [])


@pytest.mark.parametrize("state", ["FINISHED", "FAILED", "CANCELED"])
def test_gives_another_attempt_an_id_of_its_own(runner: JobRunner, flink: FakeFlink, state: str) -> None:
    """The JobManager never accepts an id again that it has seen."""
    flink.jobs[FIRST] = FakeJob("name", [state])
    assert run(runner).job_id == SECOND
    assert flink.submitted == [SECOND]


def test_says_in_one_line_why_a_job_failed(runner: JobRunner, flink: FakeFlink) -> None:
    """The UI shows only this message."""
    flink.states = ["RUNNING", "FAILED"]
    flink.stack_trace = (
        "a.JobException: Recovery is suppressed by X\n\tat a.B.c(B.java:1)\nCaused by: a.b.IOException: disk full"
    )
    with pytest.raises(JobError, match=rf"^Flink job {FIRST} \(name\) .* failed: IOException: disk full\. .*$"):
        run(runner)
    assert flink.cancelled == []


@pytest.mark.parametrize(("state", "message"), [("CANCELED", "cancelled by someone else"), (None, "no longer known")])
def test_says_that_a_job_was_ended_or_forgotten(
    runner: JobRunner, flink: FakeFlink, state: str | None, message: str
) -> None:
    """Neither is the job's fault, and running it again is right."""
    flink.states = ["RUNNING", state or "RUNNING"]
    if state is None:
        flink.before_answer = lambda request: _forget(flink, request)
    with pytest.raises(JobError, match=message):
        run(runner)


def _forget(flink: FakeFlink, request: httpx.Request) -> None:
    if request.url.path == f"/jobs/{FIRST}/status" and flink.submitted:
        flink.jobs.clear()


def test_cancels_the_job_when_the_step_is_told_to_stop(
    runner: JobRunner, flink: FakeFlink, pipes: PipesSession
) -> None:
    """A job left behind would occupy slots and commit later."""
    flink.states = ["RUNNING"]
    flink.before_answer = lambda request: _stop_once(flink, request, "/status")
    with pytest.raises(StepCancelledError):
        run(runner)
    assert flink.cancelled == [FIRST]
    assert f"Flink job {FIRST} was cancelled with the step" in pipes.log()


def test_cancels_the_job_when_the_step_is_told_to_stop_before_it_knows_of_the_job(
    runner: JobRunner, flink: FakeFlink
) -> None:
    """The answer to the INSERT takes as long as planning does."""
    flink.states = ["RUNNING"]
    flink.before_answer = lambda request: _stop_once(flink, request, "/result/0")
    with pytest.raises(StepCancelledError):
        run(runner)
    assert flink.cancelled == [FIRST]


def _stop_once(flink: FakeFlink, request: httpx.Request, path: str) -> None:
    if flink.submitted and request.url.path.endswith(path):
        flink.before_answer = lambda _request: None
        raise StepCancelledError("The step was told to stop")


def test_gives_up_on_a_refused_statement(runner: JobRunner, flink: FakeFlink) -> None:
    """There is no job to wait for or to cancel."""
    flink.refusal = "a.b.ValidationException: no such table"
    flink.before_answer = lambda _request: None
    with pytest.raises(StatementError, match="no such table"):
        run(runner)


def test_waits_for_earlier_jobs_of_its_name_alone(runner: JobRunner, flink: FakeFlink, pipes: PipesSession) -> None:
    """Jobs of other months do not concern this step."""
    flink.jobs = {
        "mine": FakeJob("name", ["RUNNING", "FINISHED"]),
        "failing": FakeJob("name", ["RUNNING", "RUNNING", "FAILED"], "a.b.IOException: disk full"),
        "done": FakeJob("name", ["FINISHED"]),
        "other": FakeJob("other name", ["RUNNING"]),
    }
    assert [job.job_id for job in runner.finish_earlier_jobs("name")] == ["mine"]
    assert "disk full" in pipes.log()


@pytest.mark.parametrize(
    ("taskmanagers", "slots_available", "message"),
    [(0, 0, "no TaskManager is registered"), (1, 2, "its slots are held by a job it no longer knows")],
)
def test_says_why_the_cluster_cannot_work(
    runner: JobRunner, flink: FakeFlink, pipes: PipesSession, taskmanagers: int, slots_available: int, message: str
) -> None:
    """The next job would read again what a dead JobManager's job still commits."""
    flink.taskmanagers, flink.slots_available = taskmanagers, slots_available
    with pytest.raises(ServiceTimeoutError, match=message):
        runner.wait_for_cluster()
    assert f"Waiting for Flink, at most 0 s: {message}" in pipes.log(), "a waiting step says what it waits for"


def test_starts_beside_the_jobs_of_others(runner: JobRunner, flink: FakeFlink) -> None:
    """Several months are made at the same time."""
    flink.jobs["other"] = FakeJob("other name", ["RUNNING"])
    flink.slots_available = 2
    runner.wait_for_cluster()
    assert run(runner).job_id == FIRST
