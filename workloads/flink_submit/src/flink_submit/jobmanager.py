"""Flink's JobManager: list jobs, read their state and progress, and cancel them.

*Source*: Flink 2.1, Monitoring REST API.
"""

from dataclasses import dataclass
from typing import Any

import httpx

from flink_submit.root_cause import find_root_cause
from flink_submit.service_client import ServiceClient, error_text

FINAL_STATES = frozenset({"FINISHED", "FAILED", "CANCELED"})


@dataclass(frozen=True)
class ClusterOverview:
    """The size and load of the cluster.

    Args:
        taskmanagers: Number of registered TaskManagers.
        slots_total: Number of slots.
        slots_available: Number of free slots.
        jobs_running: Number of running jobs.
    """

    taskmanagers: int
    slots_total: int
    slots_available: int
    jobs_running: int


class JobManager:
    """The REST interface of a session cluster's JobManager.

    Args:
        client: The JobManager's client.
    """

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        self.address = client.address

    def overview(self) -> ClusterOverview:
        """Return the size and load of the cluster."""
        answer = self._read("/overview")
        return ClusterOverview(
            answer["taskmanagers"], answer["slots-total"], answer["slots-available"], answer["jobs-running"]
        )

    def unfinished_jobs(self, name: str) -> list[str]:
        """Return the ids of the jobs of this name that have not ended, oldest first."""
        jobs = [job for job in self._read("/jobs/overview")["jobs"] if job["name"] == name]
        unfinished = [job for job in jobs if job["state"] not in FINAL_STATES]
        return [job["jid"] for job in sorted(unfinished, key=lambda job: job["start-time"])]

    def status(self, job_id: str) -> str | None:
        """Return a job's state in Flink's words; None if the JobManager does not know the job.

        Flink caches ``/jobs/<id>``, but not ``/jobs/<id>/status``.
        """
        answer = self._client.request("GET", f"/jobs/{job_id}/status")
        if _is_unknown(answer):
            return None
        if answer.is_error:
            raise self._client.unexpected(answer, find_root_cause(error_text(answer)))
        status: str = answer.json()["status"]
        return status

    def records_read(self, job_id: str) -> int:
        """Return how many records the job's busiest vertex has received or sent; a sign of life, not an exact count."""
        vertices = self._read(f"/jobs/{job_id}")["vertices"]
        metrics = [vertex["metrics"] for vertex in vertices]
        return max((max(m["read-records"], m["write-records"]) for m in metrics), default=0)

    def root_cause(self, job_id: str) -> str:
        """Return in one line why a job failed."""
        answer = self._read(f"/jobs/{job_id}/exceptions")
        entries = answer.get("exceptionHistory", {}).get("entries", [])
        stack_trace = entries[0]["stacktrace"] if entries else answer.get("root-exception") or ""
        return find_root_cause(stack_trace)

    def cancel(self, job_id: str, *, patience_s: float) -> bool:
        """Ask the JobManager to cancel a job.

        Args:
            job_id: Flink's id of the job.
            patience_s: Seconds to repeat the request while the JobManager does not answer.

        Returns:
            False if the JobManager does not know the job, otherwise True.
        """
        answer = self._client.request("PATCH", f"/jobs/{job_id}", params={"mode": "cancel"}, patience_s=patience_s)
        if _is_unknown(answer):
            return False
        if (
            answer.is_error and answer.status_code != httpx.codes.CONFLICT
        ):  # a conflict means that the job has already ended
            raise self._client.unexpected(answer, find_root_cause(error_text(answer)))
        return True

    def _read(self, path: str) -> dict[str, Any]:
        answer = self._client.request("GET", path)
        if answer.is_error:
            raise self._client.unexpected(answer, find_root_cause(error_text(answer)))
        content: dict[str, Any] = answer.json()
        return content


def _is_unknown(answer: httpx.Response) -> bool:
    """Return whether Flink does not know the job; it then answers 404 or 500, depending on the path."""
    not_found = answer.status_code == httpx.codes.NOT_FOUND
    return not_found or (answer.is_error and "FlinkJobNotFoundException" in error_text(answer))
