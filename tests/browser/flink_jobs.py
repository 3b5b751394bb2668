"""Flink's jobs on the test stack, slowed down, and looked up at the JobManager."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from stack import Stack, wait_until

EVENTS = 100_000


@contextmanager
def slow_flink(stack: Stack) -> Iterator[Callable[[], None]]:
    """Give the TaskManager so little CPU that no job of ``EVENTS`` ends before the block is left."""
    taskmanager = stack.container("flink-taskmanager")

    def let_go() -> None:
        taskmanager.update(cpu_period=100_000, cpu_quota=-1)

    taskmanager.update(cpu_period=100_000, cpu_quota=10_000)
    try:
        yield let_go
    finally:
        let_go()


def running_bronze_job(stack: Stack) -> str:
    """Wait until bronze's Flink job runs; return its id."""
    found: list[str] = []

    def is_running() -> bool:
        jobs = httpx.get(f"{stack.url('FLINK_PORT')}/jobs/overview", timeout=30).json()["jobs"]
        found[:] = [job["jid"] for job in jobs if (job["name"], job["state"]) == ("bronze.raw_trips", "RUNNING")]
        return found != []

    wait_until(is_running, what="bronze's running Flink job", timeout_s=120)
    (job,) = found
    return job


def state_of(stack: Stack, job: str) -> str:
    """Return a Flink job's state according to the JobManager."""
    return str(httpx.get(f"{stack.url('FLINK_PORT')}/jobs/{job}", timeout=30).json()["state"])


def cancel_in_flink(stack: Stack, job: str) -> None:
    """Cancel a job without the step's knowledge, as on Flink's own page."""
    httpx.patch(f"{stack.url('FLINK_PORT')}/jobs/{job}", params={"mode": "cancel"}, timeout=30).raise_for_status()
