"""Flink's JobManager: which jobs there are, how they fare, and the end of them.

Source: Flink 2.1, Monitoring REST API.
"""

from dataclasses import dataclass
from typing import Any

import httpx

from flink_submit.root_cause import find_root_cause
from flink_submit.service_client import ServiceClient, error_text

FINAL_STATES = frozenset({"FINISHED", "FAILED", "CANCELED"})


@dataclass(frozen=True)
class ClusterOverview:
    """Size and load of the cluster: numbers of TaskManagers, of slots, and of jobs that run."""

    taskmanagers: int
    slots_total: int
    slots_available: int
    jobs_running: int


class JobManager:
    """The REST interface of a session cluster's JobManager."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        self.address = client.address

    def overview(self) -> ClusterOverview:
        """Returns the size and load of the cluster."""
        answer = self._read("/overview")
        return ClusterOverview(
            answer["taskmanagers"], answer["slots-total"], answer["slots-available"], answer["jobs-running"]
        )

    def unfinished_jobs(self, name: str) -> list[str]:
        """Returns the ids of the jobs of that name that have not come to an end, oldest first."""
        jobs = [job for job in self._read("/jobs/overview")["jobs"] if job["name"] == name]
        unfinished = [job for job in jobs if job["state"] not in FINAL_STATES]
        return [job["jid"] for job in sorted(unfinished, key=lambda job: job["start-time"])]

    def status(self, job_id: str) -> str | None:
        """Returns the state of a job as Flink names it, or None when the JobManager does not know the job.

        `/jobs/<id>` is cached by Flink, `/jobs/<id>/status` is not.
        """
        answer = self._client.request("GET", f"/jobs/{job_id}/status")
        if _is_unknown(answer):
            return None
        if answer.is_error:
            raise self._client.unexpected(answer, find_root_cause(error_text(answer)))
        status: str = answer.json()["status"]
        return status

    def records_read(self, job_id: str) -> int:
        """Returns how many records the job's busiest vertex has taken in or sent on; a sign of life, no receipt."""
        vertices = self._read(f"/jobs/{job_id}")["vertices"]
        metrics = [vertex["metrics"] for vertex in vertices]
        return max((max(m["read-records"], m["write-records"]) for m in metrics), default=0)

    def root_cause(self, job_id: str) -> str:
        """Returns, in one line, why a job failed."""
        answer = self._read(f"/jobs/{job_id}/exceptions")
        entries = answer.get("exceptionHistory", {}).get("entries", [])
        stack_trace = entries[0]["stacktrace"] if entries else answer.get("root-exception") or ""
        return find_root_cause(stack_trace)

    def cancel(self, job_id: str, *, patience_s: float) -> bool:
        """Asks for a job's cancellation.

        Returns:
            False when the JobManager does not know the job.
        """
        answer = self._client.request("PATCH", f"/jobs/{job_id}", params={"mode": "cancel"}, patience_s=patience_s)
        if _is_unknown(answer):
            return False
        if answer.is_error and answer.status_code != httpx.codes.CONFLICT:  # a conflict: the job has ended by itself
            raise self._client.unexpected(answer, find_root_cause(error_text(answer)))
        return True

    def _read(self, path: str) -> dict[str, Any]:
        answer = self._client.request("GET", path)
        if answer.is_error:
            raise self._client.unexpected(answer, find_root_cause(error_text(answer)))
        content: dict[str, Any] = answer.json()
        return content


def _is_unknown(answer: httpx.Response) -> bool:
    """Flink says 404 or 500 for a job it does not know, depending on the path."""
    not_found = answer.status_code == httpx.codes.NOT_FOUND
    return not_found or (answer.is_error and "FlinkJobNotFoundException" in error_text(answer))
