"""A fake of Flink's JobManager and SQL Gateway, behind httpx's transport."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

UNKNOWN_JOB = (
    "org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job ({})\n\tat a.B.c(B.java:1)"
)
DUPLICATE_JOB = (
    "org.apache.flink.table.gateway.service.utils.SqlExecutionException: Failed to execute the operation.\n"
    "\tat a.B.c(B.java:1)\n"
    "Caused by: org.apache.flink.runtime.client.DuplicateJobSubmissionException: Job has already been submitted."
)


@dataclass
class FakeJob:
    """A job of the fake cluster: successive looks find its states in turn, and the last one for ever."""

    name: str
    states: list[str]
    stack_trace: str = ""

    def look(self) -> str:
        """Return the state that this look finds."""
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


@dataclass
class FakeFlink:
    """The requests to the JobManager and the SQL Gateway that this workload makes."""

    jobs: dict[str, FakeJob] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    closed_sessions: int = 0
    taskmanagers: int = 1
    slots_available: int = 4
    states: list[str] = field(default_factory=lambda: ["RUNNING", "FINISHED"])
    stack_trace: str = ""
    refusal: str = ""
    alter_refusal: str = ""
    do: Callable[[str], None] = lambda _job_id: None
    before_answer: Callable[[httpx.Request], None] = lambda _request: None
    _settings: dict[str, str] = field(default_factory=dict)
    _results: dict[str, httpx.Response] = field(default_factory=dict)

    def transport(self) -> httpx.MockTransport:
        """Return the transport for httpx's requests."""
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.before_answer(request)
        path = request.url.path
        if path.startswith("/v1/"):
            return self._answer_gateway(request, path)
        return self._answer_jobmanager(request, path)

    def _answer_gateway(self, request: httpx.Request, path: str) -> httpx.Response:
        if request.method == "DELETE":
            self.closed_sessions += 1
            return httpx.Response(200, json={"status": "CLOSED"})
        if path == "/v1/sessions":
            return httpx.Response(200, json={"sessionHandle": "session"})
        if path.endswith("/statements"):
            operation = f"operation{len(self.statements)}"
            statement = json.loads(request.content)["statement"]
            self.statements.append(statement)
            self._results[operation] = self._execute(statement)
            return httpx.Response(200, json={"operationHandle": operation})
        *_, operation, _, page = path.split("/")
        if page == "0":
            return (
                httpx.Response(200, json={"resultType": "NOT_READY", "nextResultUri": "same"})
                if self._is_new(operation)
                else self._results[operation]
            )
        return httpx.Response(200, json={"resultType": "EOS", "results": {"data": []}})

    def _is_new(self, operation: str) -> bool:
        asked = self._settings.setdefault(f"asked {operation}", "no")
        self._settings[f"asked {operation}"] = "yes"
        return asked == "no"

    def _execute(self, statement: str) -> httpx.Response:
        if setting := re.fullmatch(r"SET '(.*)' = '(.*)'", statement):
            self._settings[setting[1]] = setting[2]
        if statement.startswith("ALTER") and self.alter_refusal:
            return httpx.Response(500, json={"errors": ["Internal server error.", self.alter_refusal]})
        if not statement.startswith(("INSERT", "EXECUTE")):
            return httpx.Response(200, json=_page([["OK"]]))
        job_id = self._settings["$internal.pipeline.job-id"]
        if self.refusal:
            return httpx.Response(500, json={"errors": ["Internal server error.", self.refusal]})
        if job_id in self.jobs:
            return httpx.Response(500, json={"errors": ["Internal server error.", DUPLICATE_JOB]})
        self.submitted.append(job_id)
        self.jobs[job_id] = FakeJob(self._settings["pipeline.name"], list(self.states), self.stack_trace)
        self.do(job_id)
        return httpx.Response(200, json=_page([[job_id]]))

    def _answer_jobmanager(self, request: httpx.Request, path: str) -> httpx.Response:
        if path == "/overview":
            running = sum(job.states[0] not in {"FINISHED", "FAILED", "CANCELED"} for job in self.jobs.values())
            slots = {"slots-total": 4 * self.taskmanagers, "slots-available": self.slots_available}
            return httpx.Response(200, json={"taskmanagers": self.taskmanagers, "jobs-running": running, **slots})
        if path == "/jobs/overview":
            jobs = [
                {"jid": job_id, "name": job.name, "state": job.states[0], "start-time": number}
                for number, (job_id, job) in enumerate(self.jobs.items())
            ]
            return httpx.Response(200, json={"jobs": jobs})
        job_id = path.split("/")[2]
        if job_id not in self.jobs:
            status = 404 if request.method == "PATCH" else 500
            return httpx.Response(status, json={"errors": [UNKNOWN_JOB.format(job_id)]})
        return self._answer_of_job(request, path, job_id, self.jobs[job_id])

    def _answer_of_job(self, request: httpx.Request, path: str, job_id: str, job: FakeJob) -> httpx.Response:
        if request.method == "PATCH":
            self.cancelled.append(job_id)
            job.states = ["CANCELLING", "CANCELED"]
            return httpx.Response(202, json={})
        if path.endswith("/status"):
            return httpx.Response(200, json={"status": job.look()})
        if path.endswith("/exceptions"):
            entries = [{"stacktrace": job.stack_trace}]
            return httpx.Response(200, json={"exceptionHistory": {"entries": entries}})
        metrics = {"read-records": 7, "write-records": 0}
        return httpx.Response(200, json={"vertices": [{"metrics": metrics}]})


def _page(rows: list[list[Any]]) -> dict[str, Any]:
    data = [{"kind": "INSERT", "fields": row} for row in rows]
    return {"resultType": "PAYLOAD", "nextResultUri": "next", "results": {"data": data}}
