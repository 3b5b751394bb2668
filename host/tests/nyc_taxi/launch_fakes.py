"""A fake Dagster webserver that plays prepared runs, for the tests of the launcher."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from nyc_taxi.launch.webserver import Webserver

URL = "http://dagster.test:3000"
STEPS = ("kafka_topics", "generate_events", "bronze__raw_trips", "silver__cleaned_trips", "dbt_build", "publish_marts")
ASSETS = (
    ("kafka_topics", "kafka", "kafka_topics", False),
    ("generate_events", "kafka", "generate_events", True),
    ("bronze/raw_trips", "lake", "bronze__raw_trips", True),
    ("silver/cleaned_trips", "lake", "silver__cleaned_trips", True),
    ("core/fct_trips", "marts", "dbt_build", True),
    ("analytics/daily_revenue", "marts", "dbt_build", True),
    ("marts/daily_revenue", "published", "publish_marts", True),
)

Event = dict[str, Any]


def event(kind: str, step: str | None = None, at: float = 0.0, **more: Any) -> Event:
    """Return a run event; ``at`` is in seconds."""
    return {"__typename": kind, "stepKey": step, "timestamp": str(int(at * 1000)), "message": f"{kind}.", **more}


def started(step: str, at: float = 0.0) -> Event:
    return event("ExecutionStepStartEvent", step, at)


def succeeded(step: str, at: float = 0.0) -> Event:
    return event("ExecutionStepSuccessEvent", step, at)


def failed(step: str, said: str | None, at: float = 0.0, cause: str = "Boom: inner") -> Event:
    metadata = {"description": said} if said else None
    error = {"message": "Outer", "className": "Outer", "causes": [{"message": cause, "className": "Boom"}]}
    return event("ExecutionStepFailureEvent", step, at, failureMetadata=metadata, error=error)


def materialized(step: str, **numbers: float | str) -> Event:
    kinds = {int: "intValue", float: "floatValue", str: "text"}
    entries = [{"label": name, kinds[type(value)]: value} for name, value in numbers.items()]
    return event("MaterializationEvent", step, metadataEntries=entries)


def checked(step: str, name: str, *, passed: bool, severity: str = "ERROR", description: str | None = None) -> Event:
    evaluation = {
        "checkName": name,
        "success": passed,
        "severity": severity,
        "description": description,
        "assetKey": {"path": ["core", "fct_trips"]},
    }
    return event("AssetCheckEvaluationEvent", step, evaluation=evaluation)


@dataclass
class FakeRun:
    """A run: the page of events that each poll finds, and how the run ends."""

    pages: Sequence[Sequence[Event]]
    status: str = "SUCCESS"
    tags: dict[str, str] = field(default_factory=dict)
    steps: Sequence[str] = STEPS
    waiting_looks: int = 0


@dataclass
class FakeDagster:
    """The webserver: it launches the first run; each of the others is a retry of the run before it."""

    runs: Sequence[FakeRun] = ()
    refusal: dict[str, Any] | None = None
    load_error: str | None = None
    loading_looks: int = 0
    hangs_up_on: set[str] = field(default_factory=set)
    is_away: bool = False
    launched: list[dict[str, Any]] = field(default_factory=list)

    def webserver(self) -> Webserver:
        return Webserver(URL, httpx.Client(transport=httpx.MockTransport(self._answer)))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/graphql"
        document = json.loads(request.content)
        operation = document["query"].split()[1].partition("(")[0]
        if operation in self.hangs_up_on or (self.is_away and operation == "Run"):
            self.hangs_up_on.discard(operation)
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        data = getattr(self, f"_{operation}")(**document["variables"])
        return httpx.Response(200, json={"data": data})

    def _Workspace(self) -> dict[str, Any]:  # noqa: N802  # named after GraphQL's operation, like the next ones
        if self.loading_looks:
            self.loading_looks -= 1
            return _workspace("LOADING", None)
        if self.load_error:
            return _workspace("LOADED", {"__typename": "PythonError", "message": self.load_error, "causes": []})
        repository = {"name": "__repository__", "pipelines": [{"name": "__ASSET_JOB"}, {"name": "taxi_pipeline"}]}
        return _workspace("LOADED", {"__typename": "RepositoryLocation", "repositories": [repository]})

    def _JobAssets(self, job: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        assert job["pipelineName"] == "taxi_pipeline"
        return {
            "assetNodes": [
                {"assetKey": {"path": key.split("/")}, "groupName": group, "opNames": [step], "isPartitioned": monthly}
                for key, group, step, monthly in ASSETS
            ]
        }

    def _LaunchPipelineExecution(self, executionParams: dict[str, Any]) -> dict[str, Any]:  # noqa: N802, N803
        self.launched.append(executionParams)
        success = {"__typename": "LaunchRunSuccess", "run": {"id": "0"}}
        return {"launchPipelineExecution": self.refusal or success}

    def _Run(self, runId: str) -> dict[str, Any]:  # noqa: N802, N803
        run = self.runs[int(runId)]
        status = run.status
        if run.waiting_looks:
            run.waiting_looks -= 1
            status = "QUEUED"
        tags = [{"key": key, "value": value} for key, value in run.tags.items()]
        return {"runOrError": {"__typename": "Run", "status": status, "tags": tags}}

    def _Plan(self, runId: str) -> dict[str, Any]:  # noqa: N802, N803
        steps = [{"key": key, "inputs": _after(STEPS[max(0, index - 1) : index])} for index, key in enumerate(STEPS)]
        return {
            "runOrError": {
                "__typename": "Run",
                # Dagster sorts the steps of a plan by name; the launcher has to put them in order.
                "executionPlan": {"steps": sorted(steps, key=lambda step: str(step["key"]))},
                "stepKeysToExecute": list(self.runs[int(runId)].steps),
            }
        }

    def _Events(self, runId: str, afterCursor: str | None) -> dict[str, Any]:  # noqa: N802, N803
        pages = self.runs[int(runId)].pages
        page = int(afterCursor or 0)
        found = pages[page] if page < len(pages) else []
        cursor, more = str(min(page + 1, len(pages))), page + 1 < len(pages)
        return {
            "logsForRun": {"__typename": "EventConnection", "events": list(found), "cursor": cursor, "hasMore": more}
        }

    def _Retries(self, runId: str) -> dict[str, Any]:  # noqa: N802, N803
        retry = int(runId) + 1
        found = [{"id": str(retry)}] if retry < len(self.runs) else []
        return {"runsOrError": {"__typename": "Runs", "results": found}}


def _workspace(status: str, location: dict[str, Any] | None) -> dict[str, Any]:
    entry = {"name": "nyc_taxi", "loadStatus": status, "locationOrLoadError": location}
    return {"workspaceOrError": {"__typename": "Workspace", "locationEntries": [entry]}}


def _after(parents: Sequence[str]) -> list[dict[str, Any]]:
    return [{"dependsOn": [{"key": parent}]} for parent in parents]
